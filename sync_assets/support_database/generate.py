"""Made-up rows for every table, plausible and the same for the same seed, and the folder that holds them.

What belongs here: invention. The rows keep every rule of `tables.py`; a load of them rejects nothing.
"""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sync_assets.support_database.tables import CATEGORIES, TABLES

Row = dict[str, Any]

_LAST = datetime(2026, 11, 2, 8, tzinfo=UTC)
_FIRST_NAMES = ("Ada", "Bram", "Chiara", "Devon", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Liam")
_FIRST_NAMES += ("Mara", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tilda", "Umar", "Vera", "Wim", "Yusuf")
_LAST_NAMES = ("Abbot", "Bergman", "Castelli", "Dunmore", "Eriksen", "Fontaine", "Garrido", "Holt", "Ivanova", "Jansen")
_LAST_NAMES += ("Kowalski", "Lindgren", "Moreau", "Novak", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka")
_COMPANY_HEADS = ("Amber", "Birch", "Cobalt", "Drift", "Elm", "Falcon", "Granite", "Harbour", "Iris", "Juniper")
_COMPANY_TAILS = ("Analytics", "Bakery", "Clinics", "Design", "Energy", "Freight", "Gardens", "Hotels", "Insurance")
_INDUSTRIES = ("retail", "healthcare", "logistics", "finance", "education")
_PLANS = {"free": 0, "basic": 12, "premium": 29, "enterprise": 59}
_TIMELINES = ("immediate", "this_quarter", "this_year", "exploring")
_AGENTS = ("meta_router", "billing_specialist", "technical_specialist", "usage_guide", "account_helper", "escalation")
_FEATURES = ("call_queues", "voicemail", "recording", "reports", "single_sign_on", "webhooks")
_TOPICS = {
    "billing": ("invoice", "It was charged twice this month.", "The second charge was returned to your card."),
    "technical": (
        "audio",
        "The other side hears me with gaps.",
        "The router dropped voice packets; the rule is set now.",
    ),
    "account": ("colleague", "I can't invite a new colleague.", "Your seats were all in use; there is a free one now."),
    "usage": ("greeting", "Where do I change the greeting?", "Under Numbers, Greetings; upload a file or record one."),
    "sales": ("upgrade", "Which plan has call recording?", "Premium has it; your price stays until the renewal."),
}


class _Maker:
    """The rows made so far, and one stream of chance."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(f"support database {seed}")
        self.rows: dict[str, list[Row]] = {table.name: [] for table in TABLES}

    def add(self, table: str, made: datetime, **values: Any) -> Row:
        row = {"id": str(UUID(int=self.draw.getrandbits(128), version=4)), **values, "created_at": _stamp(made)}
        self.rows[table].append(row)
        return row

    def moment(self, first: datetime, last: datetime = _LAST) -> datetime:
        return first + timedelta(seconds=self.draw.randrange(max(1, int((last - first).total_seconds()))))

    def person(self) -> str:
        return f"{self.draw.choice(_FIRST_NAMES)} {self.draw.choice(_LAST_NAMES)}"

    def money(self, low: int, high: int) -> float:
        return self.draw.randrange(low * 100, high * 100) / 100

    def share(self, low: float = 0.0) -> float:
        return round(self.draw.uniform(low, 1), 2)


def generate(customers: int, seed: int, articles: Sequence[Row] = ()) -> dict[str, list[Row]]:
    """Rows of every table, as a seed folder holds them.

    Args:
        customers: how many; most other tables grow with them.
        articles: rows for `kb_articles`, each with an id; made up where there are none.
    """
    make = _Maker(seed)
    make.rows["kb_articles"] = list(articles)
    if not articles:
        _add_articles(make)
    for number in range(max(3, customers // 10)):
        _add_employee(make, number)
    _add_policies(make)
    for number in range(customers):
        customer = _add_customer(make, number)
        _add_billing(make, customer)
        _add_facts(make, customer)
        for _ in range(make.draw.randrange(1, 5)):
            _add_conversation(make, customer)
    for number in range(customers):
        _add_sale(make, number)
    _add_days(make)
    _add_reviews(make)
    return make.rows


def write_seed(rows: dict[str, list[Row]], folder: Path) -> None:
    """Write a seed folder: one file for each table that has rows.

    Raises:
        OSError: the folder can't be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for table, its_rows in rows.items():
        if its_rows:
            text = json.dumps({"table": table, "records": its_rows}, ensure_ascii=False, indent=1)
            (folder / f"{table}.json").write_text(f"{text}\n", encoding="utf-8")


def _stamp(moment: datetime) -> str:
    return moment.isoformat()


def _address(name: str, number: int, domain: str) -> str:
    return f"{name.lower().replace(' ', '.')}.{number}@{domain}.example"


def _add_articles(make: _Maker) -> None:
    for category in CATEGORIES:
        for feature in _FEATURES:
            name = feature.replace("_", " ")
            make.add(
                "kb_articles",
                make.moment(_LAST - timedelta(days=300)),
                title=f"{name.capitalize()}: {category}",
                content=f"## {name.capitalize()}\n\nWhat there is to know about {name} where it concerns {category}.",
                category=category,
                tags=[category, feature],
                quality_score=make.money(60, 99),
                view_count=make.draw.randrange(500),
                is_active=1,
            )


def _add_employee(make: _Maker, number: int) -> None:
    name = make.person()
    role, department = make.draw.choice(
        (("support_agent", "support"), ("csm", "customer_success"), ("sales_rep", "sales"))
    )
    make.add(
        "employees",
        _LAST - timedelta(days=700),
        email=_address(name, number, "staff"),
        name=name,
        role=role,
        department=department,
        is_active=True,
    )


def _add_policies(make: _Maker) -> None:
    for name, category, rule_type, action in (
        ("Refunds within 30 days", "refund", "must_not_include", "block"),
        ("Discounts need approval", "pricing", "requires_approval", "escalate"),
        ("Personal data is masked", "security", "must_include", "block"),
    ):
        make.add(
            "policy_rules",
            _LAST - timedelta(days=500),
            policy_name=name,
            policy_category=category,
            policy_description=f"{name}, in every answer.",
            rule_type=rule_type,
            rule_config={"keywords": [category], "thresholds": {}},
            enforcement_level="strict",
            violation_action=action,
            compliant_examples=[f"An answer that keeps: {name}"],
            violation_examples=[f"An answer that breaks: {name}"],
            active=True,
        )


def _add_customer(make: _Maker, number: int) -> Row:
    name = make.person()
    company = f"{make.draw.choice(_COMPANY_HEADS)} {make.draw.choice(_COMPANY_TAILS)}"
    return make.add(
        "customers",
        make.moment(_LAST - timedelta(days=600), _LAST - timedelta(days=60)),
        email=_address(name, number, company.lower().replace(" ", "-")),
        name=name,
        plan=make.draw.choice(list(_PLANS)),
        extra_metadata={"company": company, "industry": make.draw.choice(_INDUSTRIES)},
    )


def _add_billing(make: _Maker, customer: Row) -> None:
    start = datetime.fromisoformat(customer["created_at"])
    seats = make.draw.randrange(2, 80)
    mrr = seats * _PLANS[customer["plan"]]
    subscription = make.add(
        "subscriptions",
        start,
        customer_id=customer["id"],
        plan=customer["plan"],
        billing_cycle=make.draw.choice(("monthly", "annual")),
        mrr=mrr,
        arr=mrr * 12,
        seats_total=seats,
        seats_used=make.draw.randrange(1, seats + 1),
        status=make.draw.choice(("active", "active", "active", "past_due", "trialing")),
        current_period_start=_stamp(_LAST - timedelta(days=20)),
        current_period_end=_stamp(_LAST + timedelta(days=10)),
        cancel_at_period_end=make.draw.random() < 0.1,
    )
    for _ in range(make.draw.randrange(1, 4)):
        issued = make.moment(start)
        paid = make.draw.random() < 0.8
        amount = make.money(20, 4000)
        invoice = make.add(
            "invoices",
            issued,
            customer_id=customer["id"],
            subscription_id=subscription["id"],
            invoice_number=f"INV-{len(make.rows['invoices']) + 1:05}",
            amount=amount,
            currency="EUR",
            status="paid" if paid else "open",
            issued_at=_stamp(issued),
            due_at=_stamp(issued + timedelta(days=30)),
            paid_at=_stamp(issued + timedelta(days=4)) if paid else None,
        )
        make.add(
            "payments",
            issued + timedelta(days=4),
            customer_id=customer["id"],
            invoice_id=invoice["id"],
            amount=amount,
            currency="EUR",
            status="succeeded" if paid else "failed",
            payment_method=make.draw.choice(("credit_card", "direct_debit", "bank_transfer")),
            transaction_id=f"txn_{make.draw.randrange(10**9)}",
            processed_at=_stamp(issued + timedelta(days=4)),
            failed_reason=None if paid else "insufficient_funds",
        )
    if make.draw.random() < 0.4:
        amount = make.money(10, 300)
        make.add(
            "credits",
            make.moment(start),
            customer_id=customer["id"],
            amount=amount,
            currency="EUR",
            credit_type=make.draw.choice(("promotional", "refund", "goodwill", "migration")),
            reason="Outage of one afternoon",
            expires_at=_stamp(_LAST + timedelta(days=200)),
            used_amount=round(amount * make.share(), 2),
            status="active",
        )


def _add_facts(make: _Maker, customer: Row) -> None:
    """What is known of a customer: use, health, segment, note, contact and integration."""
    start = datetime.fromisoformat(customer["created_at"])
    of_customer = {"customer_id": customer["id"]}
    for _ in range(make.draw.randrange(2, 8)):
        moment = make.moment(start)
        make.add(
            "usage_events",
            moment,
            **of_customer,
            event_type=make.draw.choice(("login", "call", "api_call", "export")),
            quantity=make.draw.randrange(1, 40),
            unit="count",
            timestamp=_stamp(moment),
        )
    for feature in make.draw.sample(_FEATURES, 2):
        moment = make.moment(start)
        make.add(
            "feature_usage",
            moment,
            **of_customer,
            feature_name=feature,
            usage_count=make.draw.randrange(1, 200),
            last_used_at=_stamp(moment),
            date=moment.date().isoformat(),
        )
    make.add(
        "customer_health_events",
        make.moment(start),
        **of_customer,
        event_type=make.draw.choice(("health_score_change", "churn_risk_change", "engagement_drop", "usage_spike")),
        old_value=make.money(0, 100),
        new_value=make.money(0, 100),
        reason="Fewer calls than the month before",
        detected_by="usage_monitor",
        severity=make.draw.choice(("low", "medium", "high", "critical")),
    )
    make.add(
        "customer_segments",
        make.moment(start),
        **of_customer,
        segment_name=make.draw.choice(("high_value", "growing", "at_risk")),
        segment_type=make.draw.choice(("lifecycle", "value", "risk")),
        confidence_score=make.share(0.5),
        assigned_at=_stamp(make.moment(start)),
        assigned_by="health_score",
    )
    make.add(
        "customer_notes",
        make.moment(start),
        **of_customer,
        note_type=make.draw.choice(("general", "support", "sales", "success", "technical")),
        content="Prefers a call in the morning; moves to a new office in spring.",
        is_internal=True,
        visibility="team",
        author_id=make.draw.choice(make.rows["employees"])["id"],
    )
    name = make.person()
    make.add(
        "customer_contacts",
        make.moment(start),
        **of_customer,
        email=_address(name, len(make.rows["customer_contacts"]), "contacts"),
        name=name,
        title="Office manager",
        phone=f"+31 20 555 {make.draw.randrange(1000, 9999)}",
        role=make.draw.choice(("admin", "billing", "technical", "business", "user")),
        is_primary=True,
    )
    if make.draw.random() < 0.5:
        make.add(
            "customer_integrations",
            make.moment(start),
            **of_customer,
            integration_type=make.draw.choice(("crm", "calendar", "chat")),
            status=make.draw.choice(("active", "paused", "error", "disconnected")),
            config={"workspace_id": f"ws_{make.draw.randrange(10**6)}"},
            last_sync_at=_stamp(make.moment(start)),
            last_sync_status="success",
            error_count=make.draw.randrange(4),
        )


def _add_conversation(make: _Maker, customer: Row) -> None:
    start = make.moment(datetime.fromisoformat(customer["created_at"]))
    intent, (subject, question, answer) = make.draw.choice(list(_TOPICS.items()))
    agents = make.draw.sample(_AGENTS, 2)
    seconds = make.draw.randrange(120, 7200)
    resolved = make.draw.random() < 0.8
    used = make.draw.sample(make.rows["kb_articles"], make.draw.randrange(3))
    conversation = make.add(
        "conversations",
        start,
        customer_id=customer["id"],
        status="resolved" if resolved else make.draw.choice(("active", "escalated")),
        primary_intent=f"{intent}_{subject}",
        agents_involved=agents,
        sentiment_avg=round(make.draw.uniform(-0.8, 0.8), 2),
        kb_articles_used=[article["id"] for article in used],
        started_at=_stamp(start),
        ended_at=_stamp(start + timedelta(seconds=seconds)) if resolved else None,
        resolution_time_seconds=seconds if resolved else None,
    )
    of_conversation = {"conversation_id": conversation["id"]}
    for number, (role, content) in enumerate((("user", question), ("assistant", answer))):
        make.add(
            "messages",
            start + timedelta(minutes=number),
            **of_conversation,
            role=role,
            content=content,
            agent_name=agents[1] if role == "assistant" else None,
            intent=intent,
            sentiment=round(make.draw.uniform(-1, 1), 2),
            confidence=make.share(0.5),
            tokens_used=make.draw.randrange(20, 400),
        )
    make.add(
        "agent_handoffs",
        start,
        **of_conversation,
        from_agent=agents[0],
        to_agent=agents[1],
        handoff_reason="Another field of knowledge",
        state_transferred={"intent": intent},
        confidence_before=make.share(),
        timestamp=_stamp(start + timedelta(seconds=20)),
        latency_ms=make.draw.randrange(100, 2000),
    )
    make.add(
        "response_quality_checks",
        start + timedelta(minutes=1),
        **of_conversation,
        message_id=make.rows["messages"][-1]["id"],
        checks_performed=["fact_check", "tone_check"],
        fact_check_passed=True,
        tone_check_passed=True,
        tone_appropriateness=make.share(0.7),
        hallucination_detected=False,
        all_checks_passed=True,
        overall_quality_score=make.share(0.6),
        response_approved=True,
        checked_at=_stamp(start + timedelta(minutes=1)),
        check_duration_ms=make.draw.randrange(100, 900),
    )
    for article in used:
        make.add(
            "kb_usage",
            start,
            article_id=article["id"],
            event_type=make.draw.choice(("viewed", "helpful", "not_helpful", "resolved_with")),
            **of_conversation,
            customer_id=customer["id"],
            csat_score=make.draw.randrange(1, 6),
        )


def _add_sale(make: _Maker, number: int) -> None:
    name = make.person()
    company = f"{make.draw.choice(_COMPANY_HEADS)} {make.draw.choice(_COMPANY_TAILS)}"
    start = make.moment(_LAST - timedelta(days=200))
    rep = make.draw.choice(make.rows["employees"])["id"]
    lead = make.add(
        "leads",
        start,
        email=_address(name, number, "leads"),
        name=name,
        company=company,
        title="Manager",
        phone=f"+31 30 555 {make.draw.randrange(1000, 9999)}",
        budget="10k_50k",
        authority="decision_maker",
        need_score=make.share(),
        timeline=make.draw.choice(_TIMELINES),
        lead_score=make.draw.randrange(101),
        qualification_status=make.draw.choice(("new", "mql", "sql", "qualified", "disqualified")),
        source=make.draw.choice(("website", "referral", "event")),
        assigned_to=rep,
    )
    if number % 2:
        return
    deal = make.add(
        "deals",
        start + timedelta(days=3),
        lead_id=lead["id"],
        customer_id=None,
        name=f"{company}, telephony",
        value=make.money(1000, 60000),
        currency="EUR",
        stage=make.draw.choice(("prospecting", "qualification", "proposal", "negotiation")),
        probability=make.draw.randrange(5, 96),
        expected_close_date=_stamp(_LAST + timedelta(days=make.draw.randrange(10, 90))),
        assigned_to=rep,
    )
    make.add(
        "quotes",
        start + timedelta(days=5),
        deal_id=deal["id"],
        customer_id=None,
        quote_number=f"QT-{len(make.rows['quotes']) + 1:05}",
        total_amount=deal["value"],
        currency="EUR",
        status=make.draw.choice(("draft", "sent", "declined")),
        valid_until=_stamp(_LAST + timedelta(days=30)),
        line_items=[{"description": "Seats", "quantity": 10, "total": deal["value"]}],
    )
    make.add(
        "sales_activities",
        start + timedelta(days=4),
        deal_id=deal["id"],
        lead_id=lead["id"],
        activity_type=make.draw.choice(("call", "email", "meeting", "demo", "proposal", "follow_up")),
        subject=f"With {company}",
        description="Went through the wishes and the price.",
        outcome="positive",
        scheduled_at=_stamp(start + timedelta(days=4)),
        completed_at=_stamp(start + timedelta(days=4, hours=1)),
        performed_by=rep,
    )


def _add_days(make: _Maker) -> None:
    for agent in _AGENTS:
        for day in range(1, 6):
            made = _LAST - timedelta(days=day)
            handled = make.draw.randrange(5, 40)
            make.add(
                "agent_performance",
                made,
                agent_name=agent,
                date=made.date().isoformat(),
                conversations_handled=handled,
                resolved_count=make.draw.randrange(handled),
                avg_resolution_time=make.money(60, 3000),
                avg_confidence=make.share(0.5),
            )


def _add_reviews(make: _Maker) -> None:
    for article in make.rows["kb_articles"][::4]:
        make.add(
            "kb_quality_reports",
            make.moment(_LAST - timedelta(days=60)),
            article_id=article["id"],
            quality_score=make.draw.randrange(60, 100),
            clarity_score=make.draw.randrange(60, 100),
            issues=["No example"],
            strengths=["Short sentences"],
            confidence=make.share(0.6),
            needs_update=0,
            checked_by="quality_review",
        )
