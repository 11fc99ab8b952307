"""The center's metrics page as Prometheus' own parser reads it."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.command_center.house import running_center


async def test_the_page_is_prometheus_text_and_names_what_the_station_refused(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.browser() as client:
        gate = house.node("gate")
        await house.deliver(gate, gate.alert())
        house.center.station.counters.refused("bad_signature")
        page = (await client.get("/metrics")).text
        samples = {sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples
                   if not sample.labels}  # fmt: skip
        assert samples["heard_station_refused_bad_signature"] == 1
        assert samples["heard_incidents_unacknowledged"] == 1
        assert all(family.type != "unknown" for family in text_string_to_metric_families(page))
