"""The documents show the data as it is."""

import tables


def test_the_documents_have_the_tables_of_today() -> None:
    """Settings, inputs, the matrix of faults and schema.json: `make tables` writes them anew."""
    assert [path.name for path in tables.outdated_files()] == []


def test_a_document_that_differs_is_named() -> None:
    document = "before\n<!-- table task: `make tables` writes it -->\nold\n<!-- end of table task -->\nafter\n"
    put = tables.put_into(document, "task", "new")
    assert put == document.replace("\nold\n", "\n\nnew\n\n")
    assert tables.put_into(put, "task", "new") == put
