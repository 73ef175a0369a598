"""What scale.py prints: measurements, and the parts of a fit beside the model of its cost."""

from __future__ import annotations


def predicted(row: dict, speed: dict) -> float:
    """CPU milliseconds of the iterations of a cell, by the model of the cost."""
    return (
        1e-6
        * row["iterations"]
        * (speed["n_edges"] * speed["ns_edge"] + speed["n_genes"] * speed["ns_gene"])
    )


def show(rows: list[dict]) -> None:
    """Print measurements, then the parts of every fit of a warm process."""
    heads = ("cells", "use", "method", "wall s", "CPU s", "peak MB", "ms a cell", "PCC", "how")
    print("\n" + " | ".join(heads))
    for row in sorted(rows, key=lambda row: row["cells"]):
        name = row["method"] + (f", {row['max_cells']}" if row["max_cells"] is not None else "")
        head, how = f"{row['cells']:,} | {row['use']} | {name}", row["how"]
        if "seconds" not in row:
            print(f"{head} | | | | | | {how}")
            continue
        per_cell = 1e3 * row["seconds"] / row["cells"]
        times = f"{row['seconds']:.1f} | {row['cpu_seconds']:.1f}"
        pcc = f"{row['pcc']:.4f}" if "pcc" in row else ""
        print(f"{head} | {times} | {row['peak_mb']:,.0f} | {per_cell:.3f} | {pcc} | {how}")
    speed = next((row for row in rows if row["method"] == "rates" and "ns_edge" in row), None)
    for row in sorted(rows, key=lambda row: row["cells"]):
        if row["method"] == "grnrep" and row["use"] == "second" and "iterations" in row:
            parts_of(row, speed)


def parts_of(row: dict, speed: dict | None) -> None:
    """Print what a fit spent on what."""
    parts = (f"{part} {row[f'{part}_seconds']:.1f} s" for part in ("look", "learn", "infer"))
    told = f"learned from {row['n_obs_learned']:,}, {row['iterations']:.1f} iterations a cell"
    print(f"\n{row['cells']:,} cells: {', '.join(parts)}; {told}")
    if speed is not None and row["iterations"] > 0 and row["dense_iterations"] == 0:
        found, model = 1e3 * row["infer_cpu_seconds"] / row["cells"], predicted(row, speed)
        print(
            f"  inferring a cell: {found:.3f} ms of CPU, of which iterations by the model {model:.3f} ms"
        )
