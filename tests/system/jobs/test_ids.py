from collections.abc import Callable
from pathlib import Path

from tests.servers import MariaDB, require
from tests.system.jobs import many_ids

PROCESSES, COUNT = 16, 20_000


def test_no_id_is_given_twice_by_many_processes_whose_clocks_disagree(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    require(MariaDB)
    with MariaDB() as database:
        outcome = many_ids.run(tmp_path, database, PROCESSES, COUNT)
    record_property("ids", str(outcome))
    assert outcome.ids == PROCESSES * COUNT
    assert (outcome.duplicates, outcome.out_of_order) == (0, 0)
    assert (
        outcome.shared_nodes
    )  # by processes of different clocks: what floors and ceilings are for
