-- The ticket portal's tables in SQLite. Triggers stand in for MySQL's ON UPDATE CURRENT_TIMESTAMP.

CREATE TABLE departments (
    department_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name VARCHAR(100) NOT NULL,
    description TEXT,
    is_active BOOLEAN NOT NULL DEFAULT 1,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE users (
    user_id INTEGER PRIMARY KEY AUTOINCREMENT,
    email VARCHAR(255) NOT NULL UNIQUE,
    password VARCHAR(255) NOT NULL,
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,
    department VARCHAR(100),
    role VARCHAR(10) NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'agent', 'admin')),
    department_id INTEGER REFERENCES departments (department_id) ON DELETE SET NULL,
    location VARCHAR(100),
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_login DATETIME,
    is_active BOOLEAN NOT NULL DEFAULT 1
);

CREATE TABLE categories (
    category_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name VARCHAR(100) NOT NULL,
    description TEXT,
    default_priority VARCHAR(10) NOT NULL DEFAULT 'medium'
        CHECK (default_priority IN ('low', 'medium', 'high', 'urgent')),
    sla_hours INTEGER NOT NULL DEFAULT 24,
    is_active BOOLEAN NOT NULL DEFAULT 1,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE category_fields (
    field_id INTEGER PRIMARY KEY AUTOINCREMENT,
    category_id INTEGER NOT NULL REFERENCES categories (category_id) ON DELETE CASCADE,
    field_name VARCHAR(100) NOT NULL,
    field_label VARCHAR(255) NOT NULL,
    field_type VARCHAR(10) NOT NULL
        CHECK (field_type IN ('text', 'textarea', 'select', 'radio', 'checkbox', 'date', 'number', 'email', 'tel')),
    field_options TEXT,
    is_required BOOLEAN NOT NULL DEFAULT 0,
    field_order INTEGER NOT NULL DEFAULT 0,
    placeholder VARCHAR(255),
    help_text TEXT,
    conditional_logic TEXT,
    is_active BOOLEAN NOT NULL DEFAULT 1,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE tickets (
    ticket_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_number VARCHAR(20) NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (user_id),
    assigned_agent_id INTEGER REFERENCES users (user_id),
    category_id INTEGER NOT NULL REFERENCES categories (category_id),
    title VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    priority VARCHAR(10) NOT NULL DEFAULT 'medium' CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    ticket_type VARCHAR(20) NOT NULL DEFAULT 'incident'
        CHECK (ticket_type IN ('incident', 'service_request', 'change_request', 'feature_request')),
    status VARCHAR(15) NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'in_progress', 'pending', 'resolved', 'closed')),
    source VARCHAR(10) NOT NULL DEFAULT 'web' CHECK (source IN ('web', 'email', 'phone')),
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    resolved_at DATETIME,
    resolution TEXT,
    satisfaction_rating INTEGER CHECK (satisfaction_rating BETWEEN 1 AND 5),
    satisfaction_comment TEXT
);

CREATE TABLE ticket_comments (
    comment_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES tickets (ticket_id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (user_id),
    comment TEXT NOT NULL,
    is_internal BOOLEAN NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE ticket_attachments (
    attachment_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES tickets (ticket_id) ON DELETE CASCADE,
    filename VARCHAR(255) NOT NULL,
    filepath VARCHAR(500) NOT NULL,
    filesize INTEGER NOT NULL,
    uploaded_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE ticket_field_values (
    value_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES tickets (ticket_id) ON DELETE CASCADE,
    field_id INTEGER NOT NULL REFERENCES category_fields (field_id) ON DELETE CASCADE,
    field_value TEXT,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (ticket_id, field_id)
);

CREATE TABLE configuration_items (
    ci_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ci_number VARCHAR(50) NOT NULL UNIQUE,
    type VARCHAR(10) NOT NULL CHECK (type IN ('Hardware', 'Software', 'Licentie', 'Overig')),
    category VARCHAR(100),
    brand VARCHAR(100),
    model VARCHAR(100),
    name VARCHAR(255) NOT NULL,
    serial_number VARCHAR(100) UNIQUE,
    asset_tag VARCHAR(100),
    status VARCHAR(15) NOT NULL DEFAULT 'In gebruik'
        CHECK (status IN ('In gebruik', 'In voorraad', 'Defect', 'Afgeschreven', 'Onderhoud')),
    owner_id INTEGER REFERENCES users (user_id) ON DELETE SET NULL,
    department VARCHAR(100),
    location VARCHAR(100),
    purchase_date DATE,
    purchase_price DECIMAL(10, 2),
    supplier VARCHAR(255),
    warranty_expiry DATE,
    notes TEXT,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by INTEGER REFERENCES users (user_id)
);

CREATE TABLE ticket_ci_relations (
    relation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES tickets (ticket_id) ON DELETE CASCADE,
    ci_id INTEGER NOT NULL REFERENCES configuration_items (ci_id) ON DELETE CASCADE,
    relation_type VARCHAR(15) NOT NULL DEFAULT 'affects'
        CHECK (relation_type IN ('affects', 'caused_by', 'resolved_by', 'related_to')),
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by INTEGER REFERENCES users (user_id),
    UNIQUE (ticket_id, ci_id)
);

CREATE TABLE knowledge_base (
    kb_id INTEGER PRIMARY KEY AUTOINCREMENT,
    category_id INTEGER REFERENCES categories (category_id),
    title VARCHAR(255) NOT NULL,
    content TEXT NOT NULL,
    tags TEXT,
    author_id INTEGER NOT NULL REFERENCES users (user_id),
    views INTEGER NOT NULL DEFAULT 0,
    is_published BOOLEAN NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX tickets_updated ON tickets (updated_at);
CREATE INDEX knowledge_base_updated ON knowledge_base (is_published, updated_at);
CREATE INDEX configuration_items_updated ON configuration_items (status, updated_at);

CREATE TRIGGER tickets_touched AFTER UPDATE ON tickets WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE tickets SET updated_at = CURRENT_TIMESTAMP WHERE ticket_id = NEW.ticket_id;
END;

CREATE TRIGGER knowledge_base_touched AFTER UPDATE ON knowledge_base WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE knowledge_base SET updated_at = CURRENT_TIMESTAMP WHERE kb_id = NEW.kb_id;
END;

CREATE TRIGGER configuration_items_touched AFTER UPDATE ON configuration_items WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE configuration_items SET updated_at = CURRENT_TIMESTAMP WHERE ci_id = NEW.ci_id;
END;

CREATE TRIGGER category_fields_touched AFTER UPDATE ON category_fields WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE category_fields SET updated_at = CURRENT_TIMESTAMP WHERE field_id = NEW.field_id;
END;
