"""The dashboards of Grafana, as code: what is asked, how it is named, and in which unit. monitoring.py writes them.

A row of a board is a heading and its panels, two beside each other. A panel is (title, unit, queries); a query is
(expression, legend). Units are Grafana's.
"""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = {"type": "prometheus", "uid": "prometheus"}
# What Kubernetes and balancers ask is nobody's call.
CALLS = 'route!~"/health.*"'
TIMED = 'http_route!~"/health.*"'
RATE = "[$__rate_interval]"


def quantile(share, metric, by="", selector=""):
    inner = f"sum by (le{', ' + by if by else ''}) (rate({metric}_bucket{{{selector}}}{RATE}))"
    return f"histogram_quantile({share}, {inner})"


OVERVIEW = [
    (
        "What callers see",
        [
            ("Calls a second, by status", "reqps", [(f"sum by (status) (rate(credit_http_requests_total{{{CALLS}}}{RATE}))", "{{status}}")]),
            (
                "Share of 5xx, and what the budget allows",
                "percentunit",
                [
                    ("credit:request_errors:ratio_rate5m", "5 minutes"),
                    ("credit:request_errors:ratio_rate1h", "1 hour"),
                    ("credit:request_errors:ratio_rate3d", "3 days"),
                    ("vector(0.001)", "budget"),
                ],
            ),
            (
                "How long answers take",
                "s",
                [(quantile(share, "http_server_request_duration_seconds", selector=TIMED), name) for share, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))],
            ),
            ("Share of answers above 250 ms", "percentunit", [("credit:request_slow:ratio_rate5m", "5 minutes"), ("credit:request_slow:ratio_rate1h", "1 hour"), ("vector(0.01)", "budget")]),
            ("Busiest routes", "reqps", [(f"topk(10, sum by (route) (rate(credit_http_requests_total{RATE})))", "{{route}}")]),
            ("Refusals, by code", "reqps", [(f"topk(10, sum by (code) (rate(credit_refusals_total{RATE})))", "{{code}}")]),
            ("Calls being answered", "short", [("sum by (instance) (http_server_active_requests)", "{{instance}}")]),
            ("Calls refused by a limit", "reqps", [(f"sum by (policy) (rate(credit_rate_limited_total{RATE}))", "{{policy}}")]),
        ],
    ),
    (
        "Business",
        [
            ("Transactions a second, by type", "ops", [(f"sum by (type) (rate(credit_transactions_total{RATE}))", "{{type}}")]),
            ("Moved a second, in the smallest unit", "short", [(f"sum by (type, asset) (rate(credit_transaction_amount_total{RATE}))", "{{type}} {{asset}}")]),
            ("Wallets", "short", [("max(credit_wallets)", "wallets")]),
            ("Users of the last 15 minutes, by process", "short", [("credit_users_active", "{{instance}}")]),
            ("Held, in the smallest unit", "short", [("max by (asset) (credit_credits_held)", "{{asset}}")]),
            ("Expires soon, in the smallest unit", "short", [("max by (asset, within) (credit_credits_expiring)", "{{asset}} within {{within}}")]),
        ],
    ),
    (
        "Processes",
        [
            ("Answer Prometheus", "short", [('sum(up{job="credit-server"})', "processes")]),
            ("Which build", "short", [("sum by (version, revision) (credit_build_info)", "{{version}} {{revision}}")]),
        ],
    ),
]

LEDGER = [
    (
        "Must be 0",
        [
            ("Imbalance of all entries", "short", [("credit_ledger_imbalance", "{{asset}} {{instance}}")]),
            (
                "Broken invariants, drifted wallets, broken books",
                "short",
                [
                    ("sum by (instance) (credit_ledger_broken_invariants_total)", "invariants {{instance}}"),
                    ("sum by (instance) (credit_ledger_drift)", "drift {{instance}}"),
                    ("sum by (instance) (credit_ledger_broken_books)", "books {{instance}}"),
                ],
            ),
        ],
    ),
    (
        "Groups",
        [
            ("Records a second", "ops", [(f"sum by (instance) (rate(credit_ledger_group_records_sum{RATE}))", "{{instance}}")]),
            ("Groups a second", "ops", [(f"sum by (instance) (rate(credit_ledger_group_records_count{RATE}))", "{{instance}}")]),
            (
                "Records in a group, on average",
                "short",
                [(f"sum by (instance) (rate(credit_ledger_group_records_sum{RATE})) / sum by (instance) (rate(credit_ledger_group_records_count{RATE}))", "{{instance}}")],
            ),
            ("Slots that another process had filled", "ops", [(f"sum by (instance) (rate(credit_ledger_slots_taken_total{RATE}))", "{{instance}}")]),
        ],
    ),
    (
        "What waits",
        [
            ("Commands that wait for the lanes", "short", [("credit_ledger_queue_commands", "{{instance}}")]),
            ("Records that the views do not show yet", "short", [("credit_ledger_view_lag_records", "{{instance}}")]),
            ("Books open", "short", [("credit_ledger_books", "{{instance}}")]),
            ("Wallets in memory", "short", [("credit_ledger_cached_wallets", "{{instance}}")]),
        ],
    ),
]

DEPENDENCIES = [
    (
        "Breakers and bulkheads",
        [
            ("Breakers: 0 closed, 1 half open, 2 open", "short", [("max by (dependency, instance) (credit_breaker_state)", "{{dependency}} {{instance}}")]),
            ("How often they turn", "ops", [(f"sum by (dependency, to) (rate(credit_breaker_transitions_total{RATE}))", "{{dependency}} {{to}}")]),
            ("Calls that were not made", "ops", [(f"sum by (dependency, reason) (rate(credit_breaker_rejections_total{RATE}))", "{{dependency}} {{reason}}")]),
            (
                "Calls under way and waiting, of the places",
                "short",
                [
                    ("sum by (dependency) (credit_bulkhead_calls)", "{{dependency}} under way"),
                    ("sum by (dependency) (credit_bulkhead_waiting)", "{{dependency}} waiting"),
                    ("sum by (dependency) (credit_bulkhead_places)", "{{dependency}} places"),
                ],
            ),
        ],
    ),
    (
        "Store",
        [
            ("Calls a second", "ops", [(f"sum by (store, operation) (rate(credit_store_operation_duration_seconds_count{RATE}))", "{{store}} {{operation}}")]),
            ("99 % within", "s", [(quantile(0.99, "credit_store_operation_duration_seconds", "store, operation"), "{{store}} {{operation}}")]),
            ("Not `ok`", "ops", [(f'sum by (store, operation, outcome) (rate(credit_store_operation_duration_seconds_count{{outcome!="ok"}}{RATE}))', "{{store}} {{operation}} {{outcome}}")]),
            ("Connections", "short", [("sum by (pool, state) (credit_pool_connections)", "{{pool}} {{state}}")]),
        ],
    ),
    (
        "Redis and Vault",
        [
            ("Commands to Redis", "ops", [(f"sum by (purpose) (rate(credit_redis_round_trips_total{RATE}))", "{{purpose}}")]),
            ("Look-ups beside the store", "ops", [(f"sum by (what, outcome) (rate(credit_cache_reads_total{RATE}))", "{{what}} {{outcome}}")]),
            ("Processes that count limits alone", "short", [("sum(credit_rate_limit_alone)", "processes")]),
            ("Age of the secrets from Vault", "s", [("credit_vault_secrets_age_seconds", "{{instance}}")]),
            ("Readings of Vault", "ops", [(f"sum by (outcome) (rate(credit_vault_reads_total{RATE}))", "{{outcome}}")]),
        ],
    ),
]



def routes():
    """What the routes of each module begin with, as the contract has them."""
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    found = {}
    for path, item in sorted(paths.items()):
        if path.startswith("/v1/"):
            module = next(iter(item.values()))["tags"][0]
            found.setdefault(module, set()).add(path.split("/")[2])
    return {module: f"/v1/({'|'.join(sorted(begins))})(/.*)?" for module, begins in sorted(found.items())}


MODULES = [
    (
        "Routes of the modules",
        [
            (
                f"{module}: 5xx a second",
                "reqps",
                [(f'sum by (route, status) (rate(credit_http_requests_total{{route=~"{begin}",status=~"5.."}}{RATE}))', "{{route}} {{status}}")],
            )
            for module, begin in routes().items()
        ]
        + [
            ("Modules that answer `module_unavailable`", "reqps", [(f'sum by (instance) (rate(credit_refusals_total{{code="module_unavailable"}}{RATE}))', "{{instance}}")]),
            ("Answers of `unavailable` and `outcome_unknown`", "reqps", [(f'sum by (code) (rate(credit_refusals_total{{code=~"unavailable|outcome_unknown"}}{RATE}))', "{{code}}")]),
        ],
    ),
    (
        # Prometheus calls a label `job` of ours `exported_job`.
        "Background jobs",
        [
            ("Runs", "ops", [(f"sum by (exported_job, outcome) (rate(credit_jobs_runs_total{RATE}))", "{{exported_job}} {{outcome}}")]),
            ("How long they take: 95 % within", "s", [(quantile(0.95, "credit_jobs_run_duration_seconds", "exported_job"), "{{exported_job}}")]),
            ("Since the last success", "s", [("time() - max by (exported_job) (credit_jobs_last_success_timestamp_seconds)", "{{exported_job}}")]),
            ("Running now", "short", [("sum by (exported_job) (credit_jobs_running)", "{{exported_job}}")]),
            ("Leases lost to another process", "ops", [(f"sum by (exported_job) (rate(credit_jobs_leases_lost_total{RATE}))", "{{exported_job}}")]),
        ],
    ),
    (
        "Is it up?",
        [("Ready, by what `/health/ready` answers", "reqps", [(f'sum by (instance, status) (rate(credit_http_requests_total{{route="/health/ready"}}{RATE}))', "{{instance}} {{status}}")])],
    ),
]

BOARDS = {
    "overview": ("Credit: overview", OVERVIEW),
    "ledger": ("Credit: ledger", LEDGER),
    "dependencies": ("Credit: dependencies", DEPENDENCIES),
    "modules": ("Credit: modules and jobs", MODULES),
}


def panel(number, title, unit, queries, x, y):
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [{"expr": expr, "legendFormat": legend, "refId": chr(ord("A") + at)} for at, (expr, legend) in enumerate(queries)],
    }


def board(name, title, rows):
    panels, y = [], 0
    for heading, of in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": heading, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        y += 1
        for at, (about, unit, queries) in enumerate(of):
            panels.append(panel(len(panels) + 1, about, unit, queries, 12 * (at % 2), y + 8 * (at // 2)))
        y += 8 * ((len(of) + 1) // 2)
    links = [{"type": "dashboards", "title": "Credit", "tags": ["credit"], "asDropdown": True, "keepTime": True}]
    return {
        "uid": f"credit-{name}",
        "title": title,
        "tags": ["credit"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": links,
        "panels": panels,
    }


def boards():
    return {name: board(name, title, rows) for name, (title, rows) in BOARDS.items()}
