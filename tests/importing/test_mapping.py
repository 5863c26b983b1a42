"""A mapping file: what it makes of a row, and what is wrong with it, all at once and before anything is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.importing.shop import HEADER, ORDERS, Collector, import_file, orders, rejects

from firsthand.config import ConfigError
from firsthand.importing.faults import ImportFailed
from firsthand.importing.mapping import parse


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, env={})
    return [str(fault) for fault in error.value.faults]


def event_of(tmp_path: Path, collector: Collector, mapping: str, text: str, name: str = "orders.csv") -> Any:
    """The event of the file's only row."""
    (tmp_path / name).write_text(text)
    summary = import_file(tmp_path / name, collector, mapping)
    assert (summary.accepted, summary.rejected) == (1, 0)
    return collector.received[-1]


def test_a_row_becomes_an_event(tmp_path: Path, collector: Collector):
    mapping = """
      format: {type: csv, delimiter: ";", header: false, columns: [id, day, paid, sku, news]}
      event:
        name: Order Completed
        anonymousId: {column: id}
        timestamp: {column: day, format: "%d/%m/%Y", zone: Europe/Paris}
        properties.order_id: {template: "till-{line}-{id}"}
        properties.currency: {const: EUR}
        properties.total: {column: paid, type: decimal, format: "1.234,56"}
        properties.products:
          - {product_id: {column: sku}, price: {column: paid, format: "1.234,56"}, quantity: {const: 1}}
        context:
          consent: {categories: {marketing: {column: news}}}
    """
    event = event_of(tmp_path, collector, mapping, "0042;22/11/2024;1.149,90;tent;no\n")
    id = event.pop("messageId")
    assert id.startswith("import-")
    assert id.endswith("-1")
    assert event == {
        "type": "track",
        "event": "Order Completed",
        "anonymousId": "0042",
        "timestamp": "2024-11-21T23:00:00.000Z",
        "properties": {
            "order_id": "till-1-0042",
            "currency": "EUR",
            "total": 1149.9,
            "products": [{"product_id": "tent", "price": 1149.9, "quantity": 1}],
        },
        "context": {"consent": {"categories": {"marketing": False}}},
    }


def test_what_is_empty_is_absent(tmp_path: Path, collector: Collector):
    """An entry of a list goes where all its columns are empty: constants alone make no product."""
    mapping = """
      event:
        name: Order Completed
        timestamp: now
        userId: {column: customer}
        properties.coupon: {column: coupon}
        properties.currency: {column: currency, default: EUR}
        properties.label: {template: "{coupon}-{customer}"}
        properties.products:
          - {product_id: {column: sku1}, quantity: {const: 1}}
          - {product_id: {column: sku2}, quantity: {const: 1}}
    """
    event = event_of(tmp_path, collector, mapping, "customer,coupon,currency,sku1,sku2\n7,, ,a,\n")
    assert event["properties"] == {"currency": "EUR", "products": [{"product_id": "a", "quantity": 1}]}


def test_columns_inside_json(tmp_path: Path, collector: Collector):
    mapping = """
      format: {type: jsonl}
      event:
        name: Order Completed
        timestamp: {const: "2024-11-20T10:00:00Z"}
        userId: {column: customer.id}
        properties.products: {column: lines}
        properties.rush: {column: rush}
    """
    row = {"customer": {"id": 12, "x": 1}, "lines": [{"product_id": "a", "price": 2.5}], "rush": True}
    event = event_of(tmp_path, collector, mapping, json.dumps(row) + "\n", "orders.txt")
    assert event["userId"] == "12"
    assert event["properties"] == {"products": row["lines"], "rush": True}


def test_an_id_of_ones_own(tmp_path: Path, collector: Collector):
    """Then a file that is exported anew with a few rows more adds only these, for a day."""
    event = event_of(tmp_path, collector, ORDERS + '  messageId: {template: "order-{order}"}\n', orders(1))
    assert event["messageId"] == "order-o-1"


def test_ids_that_a_spreadsheet_has_spoilt(tmp_path: Path, collector: Collector):
    """Wherever they are used, also in the middle of a template. Other columns stay as they are."""
    file = tmp_path / "o.csv"
    mapping = ORDERS.replace("userId: {column: customer}", 'anonymousId: {template: "shop-{customer}"}')
    mapping = mapping.replace("order_id: {column: order}", "order_id: {column: order, type: string}")
    mapping += "  traits.address.postalCode: {column: zip}\n"
    rows = ["o-1,1E+05,2024-11-20,a,1,'04109", "#N/A,7,2024-11-20,a,1,1", 'o-3,7,2024-11-20,"1,00123E+15",1,1']
    rows += ['"=""0042""",\'0007,2024-11-20,a,1,\'04109']
    file.write_text(HEADER.replace("\n", ",zip\n") + "\n".join(rows))
    import_file(file, collector, mapping)
    assert [(reject["line"], reject["field"]) for reject in rejects(file)] == [
        (2, "anonymousId"),
        (3, "properties.order_id"),
        (4, "properties.products[0].product_id"),
    ]
    assert "export it again, with this column as text" in next(rejects(file))["reason"]
    (event,) = collector.received
    assert (event["anonymousId"], event["properties"]["order_id"]) == ("shop-0007", "0042")
    assert event["traits"]["address"]["postalCode"] == "'04109"


def test_other_types_than_track(tmp_path: Path, collector: Collector):
    mapping = "event: {type: identify, timestamp: now, userId: {column: id}, traits.email: {column: mail}}"
    event = event_of(tmp_path, collector, mapping, "id,mail\n7,ann@example.com\n")
    assert (event["type"], event["userId"], event["traits"]) == ("identify", "7", {"email": "ann@example.com"})
    assert "event" not in event


def test_the_command_line_names_the_event(tmp_path: Path, collector: Collector):
    (tmp_path / "o.csv").write_text(orders(1))
    import_file(tmp_path / "o.csv", collector, ORDERS, event="Lead Submitted")
    assert collector.received[0]["event"] == "Lead Submitted"
    assert "name" not in collector.received[0]


def test_columns_that_are_not_there(tmp_path: Path, collector: Collector):
    (tmp_path / "o.csv").write_text("order,client,day,sku,price\no-1,7,2024-11-20,a,1\n")
    mapping = ORDERS + '  properties.label: {template: "{shop}-{order}"}\n'
    with pytest.raises(ImportFailed, match=r"columns customer \(for userId\), shop \(for properties\.label\)") as error:
        import_file(tmp_path / "o.csv", collector, mapping)
    assert "The columns there are: order, client, day, sku, price" in str(error.value)
    assert collector.received == []


def test_a_column_of_json_that_is_in_no_line(tmp_path: Path, collector: Collector):
    (tmp_path / "o.jsonl").write_text('{"id": 1, "a": {"b": 2}}\n')
    with pytest.raises(ImportFailed, match=r"does not have the columns di .* are: id, a, a\.b"):
        import_file(tmp_path / "o.jsonl", collector, "event: {name: X, timestamp: now, userId: {column: di}}")


def test_a_column_that_is_there_twice(tmp_path: Path, collector: Collector):
    """It has to be said which is meant; one that nobody asks for does no harm."""
    file = tmp_path / "o.csv"
    file.write_text(HEADER.replace("customer", "price").replace("sku", "price") + "o-1,7,2024-11-20,1,2\n")
    mapping = ORDERS.replace("userId: {column: customer}", "userId: {column: order}").replace(
        "{column: sku}", "{const: a}"
    )
    with pytest.raises(ImportFailed, match=r"o\.csv has the columns price over twice, .* write price#1 for the first"):
        import_file(file, collector, mapping)
    assert collector.received == []
    import_file(file, collector, mapping.replace("{column: price}", '{column: "price#2"}'))
    assert collector.received[0]["properties"]["products"] == [{"product_id": "a", "price": 1, "quantity": 1}]
    file.write_text(HEADER.replace("\n", ",x,x\n") + "o-1,7,2024-11-20,a,2,3,4\n")
    assert import_file(file, collector, ORDERS).accepted == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("event: {name: X, userId: {column: a}}\nformats: {}", "formats: there is no such field; did you mean format?"),
        ("event: {name: X, user_id: {column: a}}", "event.user_id: an event has no such field; did you mean userId?"),
        (
            "event: {name: X, userId: {column: a, typ: string}}",
            "event.userId.typ: there is no such field; did you mean",
        ),
        ("event: {name: X, userId: {colum: a}}", "event.userId.colum: there is no such field; did you mean column?"),
        (
            "event: {name: X, userId: a}",
            'event.userId: "a" may be a column or a constant; write {column: a} or {const: a}',
        ),
        ("event: {userId: {column: a}}", "event.name: the events have no name"),
        ("event: {name: X, event: Y}", "event.event: this is the same as name"),
        ("event: {type: tracks, name: X}", 'event.type: "tracks" is no type; did you mean track?'),
        ("format: {type: csv}", "event: it says nothing of the events"),
        ("event: {name: X, userId: {column: a, const: b}}", "event.userId: column and const don't go together"),
        ("event: {name: X, userId: {const: b, type: string}}", "event.userId.type: there is no such field"),
        ('event: {name: X, userId: {template: "a-{"}}', "event.userId.template: a { is left over"),
        ('event: {name: X, userId: {template: "a"}}', "event.userId.template: there is nothing to put in"),
        ("event: {name: X, timestamp: {column: a, zone: Mars}}", 'event.timestamp.zone: "Mars" is no time zone'),
        (
            'event: {name: X, timestamp: {column: a, format: "YYYY-MM-DD HH:MM"}}',
            'event.timestamp.format: "YYYY-MM-DD HH:MM" is no format',
        ),
        ('event: {name: X, timestamp: {column: a, format: "%H"}}', 'event.timestamp.format: "%H" has no month'),
        ("event: {name: X, userId: {column: a, zone: UTC}}", "event.userId.zone: only times have a zone"),
        ("event: {name: X, userId: {column: a, format: b}}", "event.userId.format: this has no format"),
        ("event: {name: X, properties.price: {column: a, format: b}}", '.format: "b" is no format of decimals'),
        ("event: {name: X, properties: {column: a}, properties.b: {column: b}}", "another name builds the same field"),
        ("event: {name: X, userId: {column: a, type: text}}", "event.userId.type"),
        ("event: {name: X}", "event.timestamp: nothing says when the events happened; give timestamp: {column: NAME}"),
        ("event: {name: X, timestamp: {const: soon}}", 'event.timestamp.const: "soon" is no time; write it like'),
        ("event: {name: X, timestamp: {const: null}}", "event.timestamp: this is no time"),
        ("event: {name: X, timestamp: {column: a, default: now}}", 'event.timestamp.default: "now" is no time'),
        ("event: {name: X}\nwhere: paid", 'where: "paid" is no condition; write {COLUMN: {is: VALUE}}'),
        ("event: {name: X}\nwhere: {a: b}", 'where.a: "b" is no condition'),
        ("event: {name: X}\nwhere: {a: {isnt: b}}", "where.a.isnt: there is no such condition; did you mean is"),
        ("event: {name: X}\nwhere: {a: {in: b}}", 'where.a.in: "b" does not go with in'),
        ("event: {name: X}\ngroup_by: true", "group_by: true is no column; write {column: NAME}, or false"),
        (
            "event: {name: X, properties.products: {column: a}}\ngroup_by: b",
            "group_by: a column of all products does not go with group_by",
        ),
        ("format: {type: xls}\nevent: {name: X}", "format.type"),
        ("format: {delimiter: ab}\nevent: {name: X}", 'format.delimiter: "ab" is no delimiter'),
        ("format: {header: false}\nevent: {name: X}", "format.columns: the columns have no names"),
        ("format: {columns: [a, b, a]}\nevent: {name: X}", 'format.columns: "a" stands there twice'),
        ("format: {encoding: utf-16}\nevent: {name: X}", 'format.encoding: "utf-16" can\'t be read'),
        ("format: {type: jsonl, header: true}\nevent: {name: X}", "format.header: jsonl has none"),
        ("format: {headers: true}\nevent: {name: X}", "format.headers: there is no such field; did you mean header?"),
        ("event: {name: X, userId: {const: ${SHOP}}}", "the environment variable SHOP is not set"),
    ],
)
def test_what_is_wrong_with_a_mapping(text: str, fault: str):
    assert any(fault in found for found in faults(text)), faults(text)


def test_all_faults_are_told_at_once_with_their_lines():
    found = faults(
        "event:\n  name: X\n  timestamp: now\n  user: {column: a}\n  properties.total: {column: b, types: decimal}\n"
    )
    assert [fault.split(",")[0] for fault in found] == ["line 4", "line 5"]
    assert 'event["properties.total"].types' in found[1]


def test_values_from_the_environment(tmp_path: Path, collector: Collector):
    mapping = parse(
        "event: {name: X, timestamp: now, userId: {column: a}, properties.shop: {const: '${SHOP}'}}",
        env={"SHOP": "north"},
    )
    assert mapping.event is not None
    assert type(mapping.event["properties"]["shop"].const) is str


def test_mappings_that_do_the_same_are_the_same():
    one = parse("event: {name: X, timestamp: now, userId: {column: a}}", env={})
    two = parse("# a remark\nevent:\n  timestamp: now\n  userId: {column: a}\n  name: X\n", env={})
    other = parse("event: {name: X, timestamp: now, userId: {column: b}}", env={})
    assert one.digest == two.digest != other.digest
