"""The tables of the support database: columns, types, rules, keys.

What belongs here: the definition of each table, once; the loader, the assets and the checks all read it. A schema for
each tenant holds them, so the metadata names none; `schema_translate_map={None: schema_of(tenant)}` does.

Every table has an id, the times of its creation and last change, who made them, and when and by whom it was marked as
deleted. A foreign key that may be null is set to null when its parent goes; another takes the row with it.

A column that holds ids of another table without a foreign key names it in `info["ids_of"]`; a table whose rows have a
key beside their id lists its columns in `info["key"]`; its rules are in `info["rules"]`.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, UUID

from sync_assets.support_database.rules import AtMost, Between, Differs, MinLength, OneOf, Rule
from sync_assets.tenants import valid_tenant

CATEGORIES = (
    "billing",
    "technical",
    "usage",
    "api",
    "account",
    "integration",
    "sales",
    "success",
    "general",
    "security",
    "onboarding",
    "troubleshooting",
    "features",
    "pricing",
)

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

_PLANS = ("free", "basic", "premium", "enterprise")
_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(12, 2)


def _required(name: str, kind: sa.types.TypeEngine | None = None, comment: str | None = None) -> sa.Column:
    return sa.Column(name, kind if kind is not None else sa.String(255), nullable=False, comment=comment)


def _text(name: str, length: int = 255, comment: str | None = None) -> sa.Column:
    return sa.Column(name, sa.String(length), comment=comment)


def _time(name: str, comment: str | None = None) -> sa.Column:
    return sa.Column(name, _TIME, comment=comment)


def _score(name: str, comment: str | None = None) -> sa.Column:
    return sa.Column(name, DOUBLE_PRECISION, comment=comment)


def _count(name: str, comment: str | None = None) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0", comment=comment)


def _flag(name: str, default: bool = False, comment: str | None = None) -> sa.Column:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text(str(default).lower()), comment=comment)


def _json(name: str, empty: str = "{}", comment: str | None = None) -> sa.Column:
    default = sa.text(f"'{empty}'::jsonb")
    return sa.Column(name, JSONB(none_as_null=True), nullable=False, server_default=default, comment=comment)


def _texts(name: str, ids_of: str | None = None, comment: str | None = None) -> sa.Column:
    info = {"ids_of": ids_of} if ids_of else {}
    default = sa.text("'{}'::text[]")
    return sa.Column(name, ARRAY(sa.Text), nullable=False, server_default=default, comment=comment, info=info)


def _child_of(parent: str, name: str) -> sa.Column:
    """A foreign key without which the row has no meaning."""
    return sa.Column(name, sa.ForeignKey(f"{parent}.id", ondelete="CASCADE"), nullable=False, index=True)


def _may_name(parent: str, name: str, comment: str | None = None) -> sa.Column:
    """A foreign key that the row can do without."""
    return sa.Column(name, sa.ForeignKey(f"{parent}.id", ondelete="SET NULL"), index=True, comment=comment)


def _currency() -> sa.Column:
    return sa.Column("currency", sa.String(3), nullable=False, server_default="USD", comment="ISO 4217 code")


def _common() -> list[sa.Column]:
    now = sa.func.now()
    return [
        sa.Column("created_at", _TIME, nullable=False, server_default=now),
        sa.Column(
            "updated_at", _TIME, nullable=False, server_default=now, comment="moved by a trigger with every real change"
        ),
        sa.Column("created_by", UUID(as_uuid=True)),
        sa.Column("updated_by", UUID(as_uuid=True)),
        _time("deleted_at", "set: the row counts as gone"),
        sa.Column("deleted_by", UUID(as_uuid=True)),
        _json("extra_metadata"),
    ]


def _table(
    name: str,
    comment: str,
    *columns: sa.Column,
    rules: Sequence[Rule] = (),
    key: Iterable[str] = (),
    unique: Iterable[str] = (),
) -> sa.Table:
    """Define a table.

    Args:
        key: columns that tell beside the id that two rows are the same; e-mail addresses in any case.
        unique: those that the database holds unique.
    """
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", UUID(as_uuid=True), primary_key=True, server_default=sa.func.gen_random_uuid()),
        *columns,
        *_common(),
        *(sa.CheckConstraint(rule.condition, name=rule.name) for rule in rules),
        comment=comment,
        info={"rules": tuple(rules), "key": tuple(key)},
    )
    if unique := list(unique):
        table.append_constraint(sa.UniqueConstraint(*unique))
    return table


customers = _table(
    "customers",
    "Customer accounts.",
    _required("email"),
    _required("name"),
    _required("plan", sa.String(50)),
    rules=[MinLength("email", 1), OneOf("plan", _PLANS)],
    key=["email"],
    unique=["email"],
)

employees = _table(
    "employees",
    "People who work for the company.",
    _required("email"),
    _required("name"),
    _required("role", sa.String(50)),
    _text("department", 100),
    _flag("is_active", default=True),
    rules=[MinLength("email", 1)],
    key=["email"],
    unique=["email"],
)

subscriptions = _table(
    "subscriptions",
    "What customers subscribed to.",
    _child_of("customers", "customer_id"),
    _required("plan", sa.String(50)),
    _required("billing_cycle", sa.String(20)),
    _required("mrr", sa.Numeric(10, 2), "revenue a month"),
    sa.Column("arr", sa.Numeric(10, 2), comment="revenue a year"),
    _count("seats_total"),
    _count("seats_used"),
    _required("status", sa.String(20)),
    _time("current_period_start"),
    _time("current_period_end"),
    _flag("cancel_at_period_end"),
    _time("canceled_at"),
    _time("trial_start"),
    _time("trial_end"),
    rules=[
        OneOf("plan", _PLANS),
        OneOf("billing_cycle", ("monthly", "annual")),
        OneOf("status", ("active", "past_due", "canceled", "unpaid", "trialing")),
        AtMost("seats_used", "seats_total"),
    ],
)

invoices = _table(
    "invoices",
    "Invoices.",
    _child_of("customers", "customer_id"),
    _may_name("subscriptions", "subscription_id"),
    _required("invoice_number", sa.String(50)),
    _required("amount", _MONEY),
    _currency(),
    _required("status", sa.String(20)),
    _time("issued_at"),
    _time("due_at"),
    _time("paid_at"),
    rules=[OneOf("status", ("draft", "open", "paid", "void", "uncollectible"))],
    key=["invoice_number"],
    unique=["invoice_number"],
)

payments = _table(
    "payments",
    "Payments, and attempts at them.",
    _child_of("customers", "customer_id"),
    _may_name("invoices", "invoice_id"),
    _required("amount", _MONEY),
    _currency(),
    _required("status", sa.String(20)),
    _text("payment_method", 50),
    _text("transaction_id", comment="of the payment provider"),
    _time("processed_at"),
    sa.Column("failed_reason", sa.Text),
    rules=[OneOf("status", ("pending", "succeeded", "failed", "canceled", "refunded"))],
)

credits_ = _table(
    "credits",
    "Credits that customers may use up.",
    _child_of("customers", "customer_id"),
    _required("amount", _MONEY),
    _currency(),
    _required("credit_type", sa.String(50)),
    sa.Column("reason", sa.Text),
    _time("expires_at"),
    sa.Column("used_amount", _MONEY, nullable=False, server_default="0"),
    _required("status", sa.String(20)),
    rules=[
        OneOf("credit_type", ("promotional", "refund", "goodwill", "migration")),
        OneOf("status", ("active", "used", "expired", "canceled")),
        AtMost("used_amount", "amount"),
    ],
)

usage_events = _table(
    "usage_events",
    "What customers did in the product.",
    _child_of("customers", "customer_id"),
    _required("event_type", sa.String(100)),
    sa.Column("quantity", sa.Integer, nullable=False, server_default="1"),
    _text("unit", 50, "of the quantity"),
    _required("timestamp", _TIME),
)

customer_health_events = _table(
    "customer_health_events",
    "Signs of a customer doing better or worse.",
    _child_of("customers", "customer_id"),
    _required("event_type", sa.String(50)),
    sa.Column("old_value", sa.Numeric(5, 2)),
    sa.Column("new_value", sa.Numeric(5, 2)),
    sa.Column("reason", sa.Text),
    _text("detected_by", 100),
    _text("severity", 20),
    rules=[
        OneOf("event_type", ("health_score_change", "churn_risk_change", "engagement_drop", "usage_spike")),
        OneOf("severity", ("low", "medium", "high", "critical")),
    ],
)

customer_segments = _table(
    "customer_segments",
    "Segments that customers were put in.",
    _child_of("customers", "customer_id"),
    _required("segment_name", sa.String(100)),
    _required("segment_type", sa.String(50)),
    sa.Column("confidence_score", sa.Numeric(3, 2), comment="0 to 1"),
    _time("assigned_at"),
    _text("assigned_by", 100),
    rules=[
        OneOf("segment_type", ("industry", "lifecycle", "value", "behavior", "risk")),
        Between("confidence_score", 0, 1),
    ],
)

customer_notes = _table(
    "customer_notes",
    "Notes that employees keep about customers.",
    _child_of("customers", "customer_id"),
    _required("note_type", sa.String(50)),
    _required("content", sa.Text()),
    _flag("is_internal", default=True),
    sa.Column("visibility", sa.String(20), nullable=False, server_default="team"),
    _may_name("employees", "author_id"),
    rules=[
        OneOf("note_type", ("general", "support", "sales", "success", "technical")),
        OneOf("visibility", ("private", "team", "company")),
    ],
)

customer_contacts = _table(
    "customer_contacts",
    "People at a customer.",
    _child_of("customers", "customer_id"),
    _required("email"),
    _required("name"),
    _text("title", 100),
    _text("phone", 50),
    _text("role", 50),
    _flag("is_primary"),
    rules=[OneOf("role", ("admin", "billing", "technical", "business", "user"))],
)

customer_integrations = _table(
    "customer_integrations",
    "Other systems that customers connected.",
    _child_of("customers", "customer_id"),
    _required("integration_type", sa.String(100)),
    _required("status", sa.String(20)),
    _json("config"),
    _time("last_sync_at"),
    _text("last_sync_status", 50),
    _count("error_count"),
    rules=[OneOf("status", ("active", "paused", "error", "disconnected"))],
)

kb_articles = _table(
    "kb_articles",
    "Articles of the knowledge base.",
    _required("title", sa.String(500)),
    _required("content", sa.Text(), "Markdown"),
    _required("category", sa.String(100)),
    _texts("tags"),
    _text("url", 500),
    sa.Column("quality_score", sa.Numeric(5, 2), comment="0 to 100"),
    _time("quality_last_checked_at"),
    _count("view_count"),
    _count("helpful_count"),
    _count("not_helpful_count"),
    sa.Column("avg_resolution_time_seconds", sa.Integer),
    _count("resolution_count"),
    _score("avg_csat"),
    _count("csat_count"),
    _time("last_used_at"),
    sa.Column("is_active", sa.Integer, nullable=False, server_default="1", comment="1: customers may find it"),
    _count("needs_update", "1: somebody should look at it"),
    _text("update_priority", 20),
    rules=[
        MinLength("title", 5),
        MinLength("content", 20),
        OneOf("category", CATEGORIES),
        Between("quality_score", 0, 100),
        Between("is_active", 0, 1),
        Between("needs_update", 0, 1),
    ],
    key=["title", "content"],
)
for _column in ("category", "quality_score", "is_active", "needs_update", "updated_at"):
    sa.Index(None, kb_articles.c[_column])

conversations = _table(
    "conversations",
    "Conversations of customers with agents.",
    _child_of("customers", "customer_id"),
    _required("status", sa.String(20)),
    _text("primary_intent", 100),
    _texts("agents_involved"),
    _score("sentiment_avg", "-1 to 1"),
    _texts("kb_articles_used", "kb_articles", "ids of articles"),
    _required("started_at", _TIME),
    _time("ended_at"),
    sa.Column("resolution_time_seconds", sa.Integer),
    rules=[OneOf("status", ("active", "resolved", "escalated")), Between("sentiment_avg", -1, 1)],
)
conversations.add_is_dependent_on(kb_articles)

messages = _table(
    "messages",
    "Messages of conversations.",
    _child_of("conversations", "conversation_id"),
    _required("role", sa.String(20)),
    _required("content", sa.Text()),
    _text("agent_name", 100),
    _text("intent", 100),
    _score("sentiment", "-1 to 1"),
    _score("confidence", "0 to 1"),
    sa.Column("tokens_used", sa.Integer),
    rules=[
        OneOf("role", ("user", "assistant", "system")),
        Between("sentiment", -1, 1),
        Between("confidence", 0, 1),
    ],
)

feature_usage = _table(
    "feature_usage",
    "How much customers use each feature, by day.",
    _child_of("customers", "customer_id"),
    _required("feature_name", sa.String(100)),
    _count("usage_count"),
    _time("last_used_at"),
    sa.Column("date", sa.Date),
)

leads = _table(
    "leads",
    "People who may become customers.",
    _required("email"),
    _required("name"),
    _text("company"),
    _text("title", 100),
    _text("phone", 50),
    _text("budget", 50),
    _text("authority", 50),
    sa.Column("need_score", sa.Numeric(3, 2), comment="0 to 1"),
    _text("timeline", 50),
    sa.Column("lead_score", sa.Integer, comment="0 to 100"),
    _required("qualification_status", sa.String(50)),
    _text("source", 100),
    _may_name("employees", "assigned_to"),
    _may_name("customers", "converted_to_customer_id"),
    _time("converted_at"),
    rules=[
        MinLength("email", 1),
        Between("need_score", 0, 1),
        Between("lead_score", 0, 100),
        OneOf("qualification_status", ("new", "mql", "sql", "qualified", "disqualified", "converted")),
    ],
    key=["email"],
)

deals = _table(
    "deals",
    "Sales that may come about.",
    _may_name("leads", "lead_id"),
    _may_name("customers", "customer_id"),
    _required("name"),
    _required("value", _MONEY),
    _currency(),
    _required("stage", sa.String(50)),
    sa.Column("probability", sa.Integer, comment="0 to 100"),
    _time("expected_close_date"),
    _time("closed_at"),
    sa.Column("lost_reason", sa.Text),
    _may_name("employees", "assigned_to"),
    rules=[
        OneOf("stage", ("prospecting", "qualification", "proposal", "negotiation", "closed_won", "closed_lost")),
        Between("probability", 0, 100),
    ],
)

quotes = _table(
    "quotes",
    "Offers for deals.",
    _child_of("deals", "deal_id"),
    _may_name("customers", "customer_id"),
    _required("quote_number", sa.String(50)),
    _required("total_amount", _MONEY),
    _currency(),
    _required("status", sa.String(20)),
    _time("valid_until"),
    _time("accepted_at"),
    _json("line_items", "[]"),
    rules=[OneOf("status", ("draft", "sent", "accepted", "declined", "expired"))],
    key=["quote_number"],
    unique=["quote_number"],
)

sales_activities = _table(
    "sales_activities",
    "What was done for a sale.",
    _may_name("deals", "deal_id"),
    _may_name("leads", "lead_id"),
    _required("activity_type", sa.String(50)),
    _text("subject", 500),
    sa.Column("description", sa.Text),
    _text("outcome", 100),
    _time("scheduled_at"),
    _time("completed_at"),
    _may_name("employees", "performed_by"),
    rules=[OneOf("activity_type", ("call", "email", "meeting", "demo", "proposal", "follow_up"))],
)

agent_performance = _table(
    "agent_performance",
    "What each agent did, by day.",
    _required("agent_name", sa.String(100)),
    _required("date", sa.Date()),
    _count("total_conversations"),
    _count("total_messages"),
    _count("conversations_handled"),
    _count("resolved_count"),
    _count("escalated_count"),
    _score("avg_resolution_time", "seconds"),
    _score("avg_confidence", "0 to 1"),
    _score("avg_sentiment", "-1 to 1"),
    rules=[Between("avg_confidence", 0, 1), Between("avg_sentiment", -1, 1)],
    key=["agent_name", "date"],
    unique=["agent_name", "date"],
)

agent_handoffs = _table(
    "agent_handoffs",
    "Conversations that one agent handed to another.",
    _child_of("conversations", "conversation_id"),
    _required("from_agent", sa.String(100)),
    _required("to_agent", sa.String(100)),
    sa.Column("handoff_reason", sa.Text),
    _json("state_transferred"),
    _score("confidence_before", "0 to 1"),
    _required("timestamp", _TIME),
    sa.Column("latency_ms", sa.Integer),
    rules=[Differs("from_agent", "to_agent"), Between("confidence_before", 0, 1)],
)

kb_usage = _table(
    "kb_usage",
    "Each use of an article.",
    _child_of("kb_articles", "article_id"),
    _required("event_type", sa.String(50)),
    _may_name("conversations", "conversation_id"),
    _may_name("customers", "customer_id"),
    sa.Column("resolution_time_seconds", sa.Integer),
    _score("csat_score"),
    rules=[OneOf("event_type", ("viewed", "helpful", "not_helpful", "resolved_with"))],
)

kb_quality_reports = _table(
    "kb_quality_reports",
    "What reviews of articles found.",
    _child_of("kb_articles", "article_id"),
    _required("quality_score", DOUBLE_PRECISION()),
    _score("completeness_score"),
    _score("clarity_score"),
    _score("accuracy_score"),
    _score("examples_score"),
    _score("formatting_score"),
    _json("issues", "[]"),
    _json("strengths", "[]"),
    _score("confidence"),
    _count("needs_update", "1: somebody should look at the article"),
    _text("checked_by", 100),
    rules=[Between("needs_update", 0, 1)],
)

policy_rules = _table(
    "policy_rules",
    "What agents may and may not say.",
    _required("policy_name"),
    _required("policy_category", sa.String(100)),
    sa.Column("policy_description", sa.Text),
    _required("rule_type", sa.String(50)),
    _json("rule_config"),
    _text("enforcement_level", 50),
    _text("violation_action", 50),
    _json("compliant_examples", "[]"),
    _json("violation_examples", "[]"),
    _flag("active", default=True),
    _time("effective_date"),
    _time("expiration_date"),
)

response_quality_checks = _table(
    "response_quality_checks",
    "What was checked of a response before it was sent.",
    _child_of("conversations", "conversation_id"),
    _may_name("messages", "message_id"),
    _texts("checks_performed"),
    *(
        column
        for check in ("fact_check", "policy_check", "tone_check", "completeness_check")
        for column in (
            sa.Column(f"{check}_passed", sa.Boolean),
            _score(f"{check}_score", "0 to 1"),
            _json(f"{check}_details"),
        )
    ),
    _json("policy_violations", "[]"),
    _score("tone_appropriateness", "0 to 1"),
    _score("completeness_score", "0 to 1"),
    _flag("hallucination_detected"),
    sa.Column("all_checks_passed", sa.Boolean),
    _score("overall_quality_score", "0 to 1"),
    sa.Column("response_approved", sa.Boolean),
    sa.Column("blocked_reason", sa.Text),
    _time("checked_at"),
    sa.Column("check_duration_ms", sa.Integer),
)

TABLES: tuple[sa.Table, ...] = tuple(metadata.sorted_tables)


def parents(table: sa.Table) -> list[sa.Table]:
    """The tables that a table's foreign keys name, in the order of loading."""
    named = {key.column.table for key in table.foreign_keys}
    return [parent for parent in TABLES if parent in named]


def schema_of(tenant: str) -> str:
    """The schema that holds a tenant's tables.

    Raises:
        SettingsError: the name is no tenant's.

    >>> schema_of("acme")
    'support_acme'
    """
    return f"support_{valid_tenant(tenant)}"
