"""Turn results into Markdown tables: the same text for the terminal and for the README."""

from pathlib import Path

from results import Results, median, spread
from targets import ENGINE, TARGETS

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
ROW_CASES = {
    "fraud-1": "fraud, one row, c=64",
    "house-1": "house, one row, c=64",
    "fraud-1000": "fraud, 1000 rows, c=8",
}
FORMAT_CASES = {
    "formats-1000": "The same 1000 rows in every form, c=8",
    "grpc-1": "One row over gRPC, 32 requests at a time",
}
PAIRED_CASES = {
    "beside": ("V2 beside records, one row, c=64", "records"),
    "split": ("Split beside a single model, one row, c=64", "fraud"),
    "shadow-cheap": ("Shadow of a cheap model on a saturated core, c=64", "fraud"),
    "shadow-heavy": ("Shadow of a heavy model on a saturated core, c=4", "heavy"),
}

Row = list[str]


def render(results: Results) -> str:
    """Write every table that there are samples for, the targets last."""
    parts = [
        "; ".join(f"{name} {value}" for name, value in results.about.items()) + ".",
        *(_rows_table(results, case, title) for case, title in ROW_CASES.items()),
        *(_formats_table(results, case, title) for case, title in FORMAT_CASES.items()),
        *(_paired_table(results, case, *how) for case, how in PAIRED_CASES.items()),
        _latency_table(results),
        _start_table(results),
        *(_inside_table(results, case, title) for case, title in ROW_CASES.items()),
        _targets_table(results),
    ]
    if results.failures:
        parts.append("Did not work:\n\n" + "\n".join(f"- {what}" for what in results.failures))
    return "\n\n".join(part for part in parts if part) + "\n"


def publish(results: Results, readme: Path) -> None:
    """Put the tables between the marks of the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n\n{render(results)}\n{END}{after}")


def _rows_table(results: Results, case: str, title: str) -> str:
    """Compare the servers of one case by processor time, the cheapest first."""
    costs = {who: results.median(case, who, "cpu_us") or 0.0 for who in results.servers(case)}
    ours = costs.get(ENGINE)
    rows = [
        [
            who,
            _number(costs[who]),
            f"x{costs[who] / ours:.1f}" if ours else "",
            *_point(results, case, who),
            _shown(results.median(case, who, "tree_rss_mb")),
            _shown(results.median(case, who, "tree_pss_mb")),
            _shown(results.median(case, who, "start_seconds")),
        ]
        for who in sorted(costs, key=costs.__getitem__)
    ]
    headers = ["server", "CPU us/req", "beside ours", *POINT, "RSS MB", "PSS MB", "start s"]
    return _table(title, headers, rows)


def _formats_table(results: Results, case: str, title: str) -> str:
    """Compare what does the same work by the cheapest form of any peer, the cheapest first."""
    costs = {who: results.median(case, who, "cpu_us") or 0.0 for who in results.servers(case)}
    best = min((cost for who, cost in costs.items() if not who.startswith(ENGINE)), default=None)
    rows = [
        [
            who,
            _number(costs[who]),
            f"x{costs[who] / best:.2f}" if best else "",
            *_point(results, case, who),
        ]
        for who in sorted(costs, key=costs.__getitem__)
    ]
    return _table(title, ["server", "CPU us/req", "beside best peer", *POINT], rows)


def _paired_table(results: Results, case: str, title: str, base: str) -> str:
    """Compare what was loaded in turn by the ratios within each round."""
    rows = [
        [
            who,
            _shown(results.median(case, who, "cpu_us")),
            _shown(results.ratio(case, who, base, "cpu_us")),
            _shown(results.ratio(case, who, base, "rate")),
            *_point(results, case, who),
            _shown(results.median(case, who, "offered")),
            _shown(results.median(case, who, "run")),
        ]
        for who in results.servers(case)
    ]
    headers = ["pipeline", "CPU us/req", "CPU ratio", "throughput ratio", *POINT]
    return _table(title, [*headers, "mirrored: offered", "run"], rows)


POINT = ["spread", "engine only", "req/s", "p50 us", "p99 us", "foreign", "errors", "rounds"]


def _point(results: Results, case: str, who: str) -> Row:
    """Write the columns that every point over a socket has."""
    cpu = results.values(case, who, "cpu_us").values()
    return [
        f"{spread(cpu):.0%}",
        _shown(results.median(case, who, "engine_us")),
        _shown(results.median(case, who, "rate")),
        _shown(results.median(case, who, "p50_us")),
        _shown(results.median(case, who, "p99_us")),
        f"{median(results.values(case, who, 'foreign').values()) or 0:.0%}",
        _number(sum(results.values(case, who, "errors").values())),
        str(len(cpu)),
    ]


def _latency_table(results: Results) -> str:
    """Show latencies beside those without a challenger, by the ratios within each round."""
    rows = [
        [
            who,
            _shown(results.median("latency", who, "p50_us")),
            _shown(results.ratio("latency", who, "fraud", "p50_us")),
            _shown(results.median("latency", who, "p99_us")),
            _shown(results.ratio("latency", who, "fraud", "p99_us")),
            str(len(results.values("latency", who, "p50_us"))),
        ]
        for who in results.servers("latency")
    ]
    headers = ["pipeline", "p50 us", "ratio", "p99 us", "ratio", "rounds"]
    return _table("Shadow at 20 % load, one connection, a core to spare", headers, rows)


def _start_table(results: Results) -> str:
    """Show the start and the memory."""
    figures = ["start_seconds", "engine_rss_mb", "engine_pss_mb", "tree_rss_mb", "tree_pss_mb"]
    rows = [
        [who, *(_shown(results.median("start", who, name)) for name in figures)]
        for who in results.servers("start")
    ]
    headers = ["server", "start s", "engine RSS MB", "engine PSS MB", "tree RSS MB", "tree PSS MB"]
    return _table("Start and memory, the bike-demand example", headers, rows)


def _inside_table(results: Results, case: str, title: str) -> str:
    """Show what was timed without transport."""
    inside = f"inside {case}"
    rows = [
        [
            who,
            _shown(results.median(inside, who, "cpu_us")),
            f"{spread(results.values(inside, who, 'cpu_us').values()):.0%}",
        ]
        for who in sorted(results.servers(inside))
    ]
    name = title.rpartition(",")[0]
    return _table(f"In process: {name}", ["what", "CPU us/req", "spread"], rows)


def _targets_table(results: Results) -> str:
    """Say of every target whether it was met."""
    rows = []
    for target in TARGETS:
        value = target.measure(results)
        verdict = "not measured" if value is None else "met" if target.met_by(value) else "MISSED"
        rows.append([target.what, target.bound, _shown(value), verdict])
    return _table("Targets", ["what", "wanted", "measured", ""], rows)


def _table(title: str, headers: Row, rows: list[Row]) -> str:
    """Write a Markdown table whose columns line up in a terminal too."""
    if not rows:
        return ""
    widths = [max(len(line[column]) for line in [headers, *rows]) for column in range(len(headers))]

    def line(cells: Row) -> str:
        first, *rest = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *rest])} |"

    rule = "|" + "|".join(
        "-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)
    )
    return "\n".join([f"### {title}", "", line(headers), rule + "|", *(line(row) for row in rows)])


def _shown(value: float | None) -> str:
    """Write a figure, or nothing when it was not measured."""
    return "" if value is None else _number(value)


def _number(value: float) -> str:
    """Write three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
