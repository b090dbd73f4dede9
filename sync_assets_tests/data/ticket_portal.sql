-- The ticket portal's tables that are read, as MariaDB 10.4 has them.

CREATE TABLE departments (
  department_id INT NOT NULL AUTO_INCREMENT,
  name VARCHAR(100) NOT NULL,
  description TEXT NULL,
  is_active TINYINT(1) NOT NULL DEFAULT 1,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (department_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE users (
  user_id INT NOT NULL AUTO_INCREMENT,
  email VARCHAR(255) NOT NULL,
  password VARCHAR(255) NOT NULL,
  first_name VARCHAR(100) NOT NULL,
  last_name VARCHAR(100) NOT NULL,
  department VARCHAR(100) NULL,
  role ENUM('user', 'agent', 'admin') NOT NULL DEFAULT 'user',
  department_id INT NULL,
  location VARCHAR(100) NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_login TIMESTAMP NULL DEFAULT NULL,
  is_active TINYINT(1) NOT NULL DEFAULT 1,
  PRIMARY KEY (user_id),
  UNIQUE KEY email (email),
  CONSTRAINT users_department FOREIGN KEY (department_id) REFERENCES departments (department_id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE categories (
  category_id INT NOT NULL AUTO_INCREMENT,
  name VARCHAR(100) NOT NULL,
  description TEXT NULL,
  default_priority ENUM('low', 'medium', 'high', 'urgent') NOT NULL DEFAULT 'medium',
  sla_hours INT NOT NULL DEFAULT 24,
  is_active TINYINT(1) NOT NULL DEFAULT 1,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (category_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE tickets (
  ticket_id INT NOT NULL AUTO_INCREMENT,
  ticket_number VARCHAR(20) NOT NULL,
  user_id INT NOT NULL,
  assigned_agent_id INT NULL,
  category_id INT NOT NULL,
  title VARCHAR(255) NOT NULL,
  description TEXT NOT NULL,
  priority ENUM('low', 'medium', 'high', 'urgent') NOT NULL DEFAULT 'medium',
  ticket_type ENUM('incident', 'service_request', 'change_request', 'feature_request') NOT NULL DEFAULT 'incident',
  status ENUM('open', 'in_progress', 'pending', 'resolved', 'closed') NOT NULL DEFAULT 'open',
  source ENUM('web', 'email', 'phone') NOT NULL DEFAULT 'web',
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  resolved_at DATETIME NULL DEFAULT NULL,
  resolution TEXT NULL,
  satisfaction_rating TINYINT NULL CHECK (satisfaction_rating BETWEEN 1 AND 5),
  satisfaction_comment TEXT NULL,
  PRIMARY KEY (ticket_id),
  UNIQUE KEY ticket_number (ticket_number),
  KEY tickets_updated_at (updated_at),
  CONSTRAINT tickets_user FOREIGN KEY (user_id) REFERENCES users (user_id),
  CONSTRAINT tickets_agent FOREIGN KEY (assigned_agent_id) REFERENCES users (user_id),
  CONSTRAINT tickets_category FOREIGN KEY (category_id) REFERENCES categories (category_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE ticket_comments (
  comment_id INT NOT NULL AUTO_INCREMENT,
  ticket_id INT NOT NULL,
  user_id INT NOT NULL,
  comment TEXT NOT NULL,
  is_internal TINYINT(1) NOT NULL DEFAULT 0,
  created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (comment_id),
  CONSTRAINT ticket_comments_ticket FOREIGN KEY (ticket_id) REFERENCES tickets (ticket_id) ON DELETE CASCADE,
  CONSTRAINT ticket_comments_user FOREIGN KEY (user_id) REFERENCES users (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE ticket_attachments (
  attachment_id INT NOT NULL AUTO_INCREMENT,
  ticket_id INT NOT NULL,
  filename VARCHAR(255) NOT NULL,
  filepath VARCHAR(500) NOT NULL,
  filesize INT NOT NULL,
  uploaded_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (attachment_id),
  CONSTRAINT ticket_attachments_ticket FOREIGN KEY (ticket_id) REFERENCES tickets (ticket_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE category_fields (
  field_id INT NOT NULL AUTO_INCREMENT,
  category_id INT NOT NULL,
  field_name VARCHAR(100) NOT NULL,
  field_label VARCHAR(255) NOT NULL,
  field_type ENUM('text', 'textarea', 'select', 'radio', 'checkbox', 'date', 'number', 'email', 'tel') NOT NULL,
  field_options TEXT NULL,
  is_required TINYINT(1) NOT NULL DEFAULT 0,
  field_order INT NOT NULL DEFAULT 0,
  placeholder VARCHAR(255) NULL,
  help_text TEXT NULL,
  conditional_logic LONGTEXT NULL CHECK (JSON_VALID(conditional_logic)),
  is_active TINYINT(1) NOT NULL DEFAULT 1,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (field_id),
  CONSTRAINT category_fields_category FOREIGN KEY (category_id) REFERENCES categories (category_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE ticket_field_values (
  value_id INT NOT NULL AUTO_INCREMENT,
  ticket_id INT NOT NULL,
  field_id INT NOT NULL,
  field_value TEXT NULL,
  created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (value_id),
  UNIQUE KEY ticket_field (ticket_id, field_id),
  CONSTRAINT ticket_field_values_ticket FOREIGN KEY (ticket_id) REFERENCES tickets (ticket_id),
  CONSTRAINT ticket_field_values_field FOREIGN KEY (field_id) REFERENCES category_fields (field_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE configuration_items (
  ci_id INT NOT NULL AUTO_INCREMENT,
  ci_number VARCHAR(50) NOT NULL,
  type ENUM('Hardware', 'Software', 'Licentie', 'Overig') NOT NULL,
  category VARCHAR(100) NULL,
  brand VARCHAR(100) NULL,
  model VARCHAR(100) NULL,
  name VARCHAR(255) NOT NULL,
  serial_number VARCHAR(100) NULL,
  asset_tag VARCHAR(100) NULL,
  status ENUM('In gebruik', 'In voorraad', 'Defect', 'Afgeschreven', 'Onderhoud') NOT NULL DEFAULT 'In voorraad',
  owner_id INT NULL,
  department VARCHAR(100) NULL,
  location VARCHAR(255) NULL,
  purchase_date DATE NULL,
  purchase_price DECIMAL(10, 2) NULL,
  supplier VARCHAR(255) NULL,
  warranty_expiry DATE NULL,
  notes TEXT NULL,
  created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  created_by INT NULL,
  PRIMARY KEY (ci_id),
  UNIQUE KEY ci_number (ci_number),
  UNIQUE KEY serial_number (serial_number),
  KEY configuration_items_status (status, updated_at),
  CONSTRAINT configuration_items_owner FOREIGN KEY (owner_id) REFERENCES users (user_id),
  CONSTRAINT configuration_items_creator FOREIGN KEY (created_by) REFERENCES users (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE ticket_ci_relations (
  relation_id INT NOT NULL AUTO_INCREMENT,
  ticket_id INT NOT NULL,
  ci_id INT NOT NULL,
  relation_type ENUM('affects', 'caused_by', 'resolved_by', 'related_to') NOT NULL DEFAULT 'affects',
  created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
  created_by INT NULL,
  PRIMARY KEY (relation_id),
  UNIQUE KEY ticket_ci (ticket_id, ci_id),
  CONSTRAINT ticket_ci_relations_ticket FOREIGN KEY (ticket_id) REFERENCES tickets (ticket_id),
  CONSTRAINT ticket_ci_relations_ci FOREIGN KEY (ci_id) REFERENCES configuration_items (ci_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE knowledge_base (
  kb_id INT NOT NULL AUTO_INCREMENT,
  category_id INT NULL,
  title VARCHAR(255) NOT NULL,
  content TEXT NOT NULL,
  tags TEXT NULL,
  author_id INT NULL,
  views INT NOT NULL DEFAULT 0,
  is_published TINYINT(1) NOT NULL DEFAULT 0,
  created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (kb_id),
  KEY knowledge_base_published (is_published, updated_at),
  FULLTEXT KEY knowledge_base_text (title, content),
  CONSTRAINT knowledge_base_category FOREIGN KEY (category_id) REFERENCES categories (category_id),
  CONSTRAINT knowledge_base_author FOREIGN KEY (author_id) REFERENCES users (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
