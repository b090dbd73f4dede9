"""A GitLab and a Backlog with a handful of records of each stream, all of yesterday: they are synced in one window.

What belongs here: what the two hold at their start. What is asked of them stands in `test_work.py`.
"""

from datetime import timedelta

from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets_tests.command_line import YESTERDAY
from sync_assets_tests.laws.work import PROJECTS, WORK, WorkCompany

# The first project is private, the second one public.
PUMP, VENT = PROJECTS
PUMP_PATH = "src/pump/pressure.c"
LATER = YESTERDAY + timedelta(hours=1)
MEMBERS_ONLY = "The customer in Ghent pays for the new fan himself."

_PRESSURE = """\
#include "pressure.h"

/* Takes one reading of the brine pressure into the running mean. */
void pressure_put(struct pressure *mean, int millibar)
{
    mean->sum += millibar;
    mean->count++;
}

/* Whether the brine circuit has lost pressure since it was filled. */
bool pressure_is_low(const struct pressure *mean)
{
    return mean->count > 8 && mean->sum / mean->count < LOWEST_MILLIBAR;
}
"""
_GUIDE = """\
# Filling the brine circuit

Open both valves and let the filling pump run for ten minutes.

# Frost protection

Mix glycol to thirty percent; more of it costs flow.
"""
_FAULTS = "日時,異常コード,内容\n2026-11-03 04:10,E5,圧縮機過電流\n2026-11-03 06:30,U4,通信異常\n"


def small_work_company() -> WorkCompany:
    """A company whose only tenant, `WORK`, has the two."""
    company = WorkCompany()
    company.gitlab[WORK] = GitLabInstance(_fill_gitlab(company.gitlab[WORK]).data)
    company.backlog[WORK] = BacklogSpace(_fill_backlog(company.backlog[WORK]).data)
    return company


def _fill_gitlab(gitlab: GitLabInstance) -> GitLabInstance:
    for project in gitlab.data.projects.values():
        project.created_at = YESTERDAY
    gitlab.push(PUMP, "ada", "Measure the brine pressure", write={PUMP_PATH: _PRESSURE}, at=YESTERDAY)
    gitlab.push(PUMP, "cleo", "Write down how to fill", write={"docs/filling.md": _GUIDE}, at=YESTERDAY)
    slower = _PRESSURE.replace("count > 8", "count > SETTLING_READINGS")
    gitlab.push(PUMP, "ben", "Wait longer", write={PUMP_PATH: slower}, branch="settle", start="main", at=LATER)
    gitlab.open_merge_request(PUMP, "ben", "settle", "Fewer false alarms after filling", at=LATER)
    gitlab.open_issue(PUMP, "ada", "Alarm after filling", "The pressure alarm rings for a minute.", YESTERDAY)
    gitlab.comment(PUMP, "#1", "ben", "Air in the circuit: eight readings are too few.", YESTERDAY)
    gitlab.write_wiki_page(PUMP, "Spare parts", "The brine pump has the part number 4471-B.")

    gitlab.push(VENT, "cleo", "Start", write={"README.md": "Ventilation of houses and offices.\n"}, at=YESTERDAY)
    gitlab.open_issue(VENT, "cleo", "Fan rattles", "At 1,800 turns a minute the fan rattles.", YESTERDAY)
    gitlab.comment(VENT, "#1", "ben", MEMBERS_ONLY, YESTERDAY, internal=True)
    gitlab.open_issue(VENT, "ada", "Door code of the test house", "It is written below.", YESTERDAY, confidential=True)
    return gitlab


def _fill_backlog(backlog: BacklogSpace) -> BacklogSpace:
    japanese = "通信線のシールドを両端接地すると循環電流で悪化する"
    backlog.add_issue(
        "PUMP", "ada", "通信異常が再起動後も消えない", YESTERDAY, description="室外機の表示は U4 のまま。"
    )
    backlog.comment("PUMP-1", "ben", japanese, YESTERDAY)
    backlog.attach("PUMP-1", "ben", "異常履歴.csv", _FAULTS.encode(), YESTERDAY)
    backlog.add_issue("PUMP", "ada", "保証期間の起算日の確認", YESTERDAY, description="引渡日から起算する。")
    backlog.add_issue("VENT", "cleo", "Filter class against pollen", YESTERDAY, description="F7 keeps pollen out.")
    backlog.add_issue("VENT", "cleo", "Condensation outside", YESTERDAY, description="The duct is not insulated.")
    backlog.add_wiki("VENT", "ada", "Cleaning of ducts", "Every five years, with a brush.", YESTERDAY)
    backlog.add_document("PUMP", "ben", "Night mode", "It keeps the pump below thirty decibels.", YESTERDAY)
    return backlog
