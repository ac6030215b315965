# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures are found alike in folders and through OPTIMADE, whatever servers do."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import logging
import re
import subprocess
import sys
from threading import Event, Thread
from time import monotonic
from urllib.parse import parse_qs, urlsplit

import gemmi
import numpy as np
import pytest

from kikuchipy_spacegroup.crystals import phase_composition
from kikuchipy_spacegroup.crystals._symmetry import neighbor_pairs
from kikuchipy_spacegroup.maps import crystal_map, identify_phases
from kikuchipy_spacegroup.master_patterns import simulate_master_pattern
from kikuchipy_spacegroup.phases import StructureSearch, search_structures
from kikuchipy_spacegroup.phases._optimade import entry_content, optimade_filter
from kikuchipy_spacegroup.phases._query import make_query

THIRD = 1 / 3
SLOW = 3
# Of textbooks: space group, lattice parameters, and sites with x, y, z and occupancies
STRUCTURES = {
    "ferrite": ("I m -3 m", (2.866, 2.866, 2.866, 90, 90, 90), [("Fe", 0, 0, 0, 1)]),
    "austenite": ("F m -3 m", (3.59, 3.59, 3.59, 90, 90, 90), [("Fe", 0, 0, 0, 1)]),
    "cementite": (
        "P n m a",
        (5.09, 6.743, 4.523, 90, 90, 90),
        [
            ("Fe", 0.036, 0.25, 0.852, 1),
            ("Fe", 0.186, 0.063, 0.328, 1),
            ("C", 0.89, 0.25, 0.45, 1),
        ],
    ),
    "solution": (
        "I m -3 m",
        (2.89, 2.89, 2.89, 90, 90, 90),
        [("Fe", 0, 0, 0, 0.7), ("Cr", 0, 0, 0, 0.3)],
    ),
    "tungsten_carbide": (
        "P -6 m 2",
        (2.906, 2.906, 2.837, 90, 90, 120),
        [("W", 0, 0, 0, 1), ("C", THIRD, 2 * THIRD, 0.5, 1)],
    ),
    "quartz": (
        "P 32 2 1",
        (4.913, 4.913, 5.405, 90, 90, 120),
        [("Si", 0.4697, 0, 2 * THIRD, 1), ("O", 0.4133, 0.2672, 0.7855, 1)],
    ),
    "albite": (
        "C -1",
        (8.142, 12.785, 7.159, 94.19, 116.61, 87.68),
        [
            ("Na", 0.2684, 0.989, 0.1463, 1),
            ("Al", 0.0089, 0.1685, 0.2081, 1),
            ("Si", 0.0038, 0.8205, 0.2371, 1),
            ("Si", 0.692, 0.1102, 0.315, 1),
            ("Si", 0.6816, 0.8819, 0.3605, 1),
            ("O", 0.0056, 0.1312, 0.9669, 1),
            ("O", 0.5921, 0.9969, 0.2805, 1),
            ("O", 0.8125, 0.1099, 0.1907, 1),
            ("O", 0.8201, 0.8509, 0.259, 1),
            ("O", 0.0135, 0.3022, 0.2703, 1),
            ("O", 0.0233, 0.6938, 0.2294, 1),
            ("O", 0.2079, 0.109, 0.389, 1),
            ("O", 0.184, 0.8681, 0.4362, 1),
        ],
    ),
    "salt": (
        "F m -3 m",
        (5.64, 5.64, 5.64, 90, 90, 90),
        [("Na", 0, 0, 0, 1), ("Cl", 0.5, 0.5, 0.5, 1)],
    ),
}
STEEL = ["Fe", "Cr", "C"]
IN_STEEL = ["austenite", "cementite", "ferrite", "solution"]


def write_cif(folder, name, structure=None):
    """Write a structure with gemmi."""
    group, cell, sites = structure or STRUCTURES[name]
    document = gemmi.cif.Document()
    block = document.add_new_block(name)
    keys = [f"length_{i}" for i in "abc"] + ["angle_alpha", "angle_beta", "angle_gamma"]
    for key, value in zip(keys, cell):
        block.set_pair(f"_cell_{key}", str(value))
    block.set_pair("_space_group_name_H-M_alt", gemmi.cif.quote(group))
    loop = block.init_loop("_space_group_symop_", ["operation_xyz"])
    for operation in gemmi.SpaceGroup(group).operations():
        loop.add_row([gemmi.cif.quote(operation.triplet())])
    columns = ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"]
    loop = block.init_loop("_atom_site_", columns)
    for i, (element, *numbers) in enumerate(sites):
        loop.add_row([f"{element}{i}", element, *map(str, numbers)])
    document.write_file(str(folder / f"{name}.cif"))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cifs")
    (path / "more").mkdir()
    for name in STRUCTURES:
        write_cif(path if name != "salt" else path / "more", name)
    return path


def optimade_entry(name, structure=None):
    """Return an entry with all atoms of the cell, which gemmi expands."""
    group, cell, sites = structure or STRUCTURES[name]
    cell = gemmi.UnitCell(*cell)
    atoms = {}
    for element, x, y, z, occupancy in sites:
        for operation in gemmi.SpaceGroup(group).operations():
            image = np.array(operation.apply_to_xyz([x, y, z]))
            position = tuple(np.round(image % 1, 6) % 1)
            near = [
                i
                for i in atoms
                if np.abs((np.array(i) - position + 0.5) % 1 - 0.5).max() < 1e-3
            ]
            atoms.setdefault(near[0] if near else position, {})[element] = occupancy
    amounts, species, names = {}, {}, []
    for content in atoms.values():
        label = "".join(content)
        names.append(label)
        symbols, shares = list(content), list(content.values())
        for element, share in content.items():
            amounts[element] = amounts.get(element, 0) + share
        if sum(shares) < 1:
            symbols, shares = [*symbols, "vacancy"], [*shares, 1 - sum(shares)]
        species[label] = {
            "name": label,
            "chemical_symbols": symbols,
            "concentration": shares,
        }

    def cartesian(xyz):
        return cell.orthogonalize(gemmi.Fractional(*xyz)).tolist()

    return {
        "id": name,
        "type": "structures",
        "attributes": {
            "elements": sorted(amounts),
            "nelements": len(amounts),
            "lattice_vectors": [cartesian(xyz) for xyz in np.eye(3)],
            "cartesian_site_positions": [cartesian(xyz) for xyz in atoms],
            "species": list(species.values()),
            "species_at_sites": names,
            "structure_features": ["disorder"] if len(species) > 9 else [],
            "dimension_types": [1, 1, 1],
        },
    }


def fits_filter(entry, text):
    """Return whether an entry fits a filter, of what this package sends."""
    pattern = r"elements HAS (\w+) (\S+) AND nelements<=(\d+) AND NOT \(elements HAS ANY (\S+)\)"
    how, some, n, others = re.fullmatch(pattern, text).groups()
    some, others = json.loads(f"[{some}]"), json.loads(f"[{others}]")
    elements = set(entry["attributes"]["elements"])
    first = {"ANY": elements & set(some), "ALL": elements >= set(some)}[how]
    return bool(first) and len(elements) <= int(n) and not elements & set(others)


@dataclass
class Database:
    """A database that speaks OPTIMADE, and may do so badly."""

    entries: list
    page_size: int = 2
    licence: str | None = "https://example.org/licence"
    # Answers instead of pages, by number of the page
    instead: dict = field(default_factory=dict)
    max_page_limit: int = 500
    requests: list = field(default_factory=list)
    stop: Event = field(default_factory=Event)
    url: str = ""

    def answer(self, handler):
        """Answer a request."""
        self.requests.append(handler.path)
        address = urlsplit(handler.path)
        options = {key: i[0] for key, i in parse_qs(address.query).items()}
        if address.path == "/v1/info":
            info = {"attributes": {"license": self.licence}}
            return send(handler, {"data": info})
        assert address.path == "/v1/structures"
        if int(options.get("page_limit", 0)) > self.max_page_limit:
            return send(
                handler, {"errors": [{"detail": "page_limit is too high"}]}, 403
            )
        page = int(options.get("page", 0))
        if page in self.instead:
            return self.instead[page](self, handler)
        found = [i for i in self.entries if fits_filter(i, options["filter"])]
        first = page * self.page_size
        links = {"next": None}
        if len(found) > first + self.page_size:
            query = address.query.split("&page=")[0]
            links["next"] = f"{self.url}/v1/structures?{query}&page={page + 1}"
            if page % 2:  # Both ways are allowed
                links["next"] = {"href": links["next"]}
        data = found[first : first + self.page_size]
        return send(handler, {"data": data, "links": links, "meta": {}})


def send(handler, content, status=200, kind="application/vnd.api+json"):
    """Send an answer of any kind."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(*args, **kwargs):
    """Serve a database on a free port of this machine."""
    database = Database(*args, **kwargs)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                database.answer(self)
            except ConnectionError:
                pass

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    database.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield database
    finally:
        database.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def search_online(database, elements=STEEL, **kwargs):
    pytest.importorskip("requests")
    kwargs = {"timeout": 30, "show_progressbar": False, **kwargs}
    return search_structures(elements, source=database.url, **kwargs)


def search_folder(folder, elements=STEEL, **kwargs):
    return search_structures(elements, source=folder, show_progressbar=False, **kwargs)


@pytest.fixture(scope="module")
def everything():
    return [optimade_entry(name) for name in STRUCTURES]


def names_of(search):
    return sorted(search.table["identifier"].str.removesuffix(".cif"))


def content_of(search):
    """Return what tells structures apart, in an order of its own."""
    table = search.table.sort_values(["formula", "space_group", "a"])
    numbers = table[["a", "b", "c", "alpha", "beta", "gamma"]].to_numpy()
    return table[["formula", "space_group"]].to_numpy().tolist(), numbers


class TestSameEverywhere:
    """The law: what is found does not depend on how it is asked for."""

    QUERIES = (
        {"elements": STEEL},
        {"elements": ["Si", "O", "Na", "Al", "Cl"]},
        {"elements": ["W", "C", "Fe"], "space_groups": [187, 62]},
        {"elements": ["Si", "O"], "space_groups": [152]},
        {"elements": None, "composition": {"Fe": 3, "C": 1}},
        {"elements": ["O", "C"], "composition": {"Fe": 70, "Cr": 30}},
    )

    @pytest.mark.parametrize("query", QUERIES)
    def test_same(self, folder, everything, query):
        offline = search_folder(folder, **query)
        with serve(everything) as database:
            online = search_online(database, **query)
        assert len(offline) == len(online) > 0
        assert offline.problems.empty and online.problems.empty
        first, second = content_of(offline), content_of(online)
        assert first[0] == second[0]
        np.testing.assert_allclose(first[1], second[1], atol=1e-3)

    def test_same_atoms(self, folder, everything):
        """Distances and elements too."""
        offline = search_folder(folder, ["Na", "Al", "Si", "O"])
        with serve(everything) as database:
            online = search_online(database, ["Na", "Al", "Si", "O"])
        assert sorted(offline.table["formula"]) == ["AlNaO8Si3", "O2Si"]
        for formula in offline.table["formula"]:
            found = []
            for search in (offline, online):
                (i,) = np.flatnonzero(search.table["formula"] == formula)
                structure = search.phases[int(i)].structure
                pairs, distances = neighbor_pairs(
                    structure.xyz, structure.lattice.base, 3.5
                )
                names = [atom.element for atom in structure]
                elements = [tuple(sorted(names[j] for j in pair)) for pair in pairs]
                found.append(
                    {
                        kind: sorted(
                            d for d, i in zip(distances, elements) if i == kind
                        )
                        for kind in sorted(set(elements))
                    }
                )
            assert found[0].keys() == found[1].keys()
            for kind, distances in found[0].items():
                np.testing.assert_allclose(distances, found[1][kind], atol=1e-3)


class TestFolder:
    def test_reference(self, folder):
        """Everything is as it was written."""
        search = search_folder(folder, [*STEEL, "W", "Si", "O", "Na", "Al", "Cl"])
        table = search.table.set_index("name")
        assert sorted(table.index) == sorted(STRUCTURES)
        for name, (group, cell, _) in STRUCTURES.items():
            row = table.loc[name]
            number = gemmi.SpaceGroup(group).number
            assert (
                row["space_group"] == number == search.phases[name].space_group.number
            )
            if name != "albite":  # Whose standard cell is primitive
                np.testing.assert_allclose(row[["a", "b", "c"]].astype(float), cell[:3])
        assert table["formula"].to_dict() == {
            "ferrite": "Fe",
            "austenite": "Fe",
            "cementite": "CFe3",
            "solution": "Cr0.3Fe0.7",
            "tungsten_carbide": "CW",
            "quartz": "O2Si",
            "albite": "AlNaO8Si3",
            "salt": "ClNa",
        }
        assert table.loc["salt", "identifier"] == "more/salt.cif"
        assert set(table["licence"]) == {"not stated"}

    def test_phases_are_usable(self, folder):
        pytest.importorskip("diffsims")
        search = search_folder(folder)
        assert search.phases.ids == list(range(4))
        assert search.phases.names == search.table["name"].tolist()
        assert len(set(search.phases.colors)) == 4
        for _, phase in search.phases:
            assert len(phase.structure) >= 2
        solution = search.phases["solution"]
        assert phase_composition(solution) == pytest.approx({"Cr": 0.3, "Fe": 0.7})
        mp = simulate_master_pattern(solution, half_width=10, min_dspacing=0.1)
        assert mp.phase.name == "solution"

    def test_phases_are_candidates(self, folder):
        """A point with the space group and composition of one is of this one."""
        phases = search_folder(folder).phases
        probabilities = np.array(
            [[0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [0.05, 0.05, 0.9]]
        )
        xmap = crystal_map(probabilities, [62, 225, 229], keep_probabilities=True)
        composition = {"Fe": np.array([3, 1, 7]), "C": np.array([1, 0, 0])}
        composition["Cr"] = np.array([0, 0, 3])
        found = identify_phases(xmap, phases, composition)
        names = [phases[int(i)].name for i in found.phase_id]
        assert names == ["cementite", "ferrite", "solution"]

    def test_text(self, folder):
        search = search_folder(folder, max_results=2)
        assert isinstance(search, StructureSearch) and len(search) == 2
        text = repr(search)
        assert text.startswith("StructureSearch: 2 phases, 1 problems (1 limit)")
        assert "austenite" in text and "225" in text
        assert "<table" in search._repr_html_()

    @pytest.mark.parametrize("max_results", [1, 3])
    def test_max_results(self, folder, max_results):
        search = search_folder(folder, max_results=max_results)
        assert len(search) == max_results
        assert search.problems["problem"].tolist() == ["limit"]

    def test_subsets(self, folder):
        assert names_of(search_folder(folder)) == IN_STEEL
        assert names_of(search_folder(folder, ["Fe"])) == ["austenite", "ferrite"]

    def test_nothing_fits(self, folder):
        """Which is an answer, and no error."""
        search = search_folder(folder, ["Au"])
        assert len(search) == 0 and len(search.phases.ids) == 0
        assert search.problems.empty
        assert repr(search) == "StructureSearch: 0 phases, 0 problems"
        assert "0 phases" in search._repr_html_()

    def test_composition(self, folder):
        def find(elements=None, **kwargs):
            return names_of(search_folder(folder, elements, **kwargs))

        assert find(composition={"Fe": 2, "C": 1}) == []
        assert find(composition={"Fe": 2, "C": 1}, tolerance=0.1) == ["cementite"]
        # Less than the tolerance may be missing
        assert find(composition={"Fe": 97, "C": 3}) == ["austenite", "ferrite"]
        assert find(composition={"Fe": 1, "C": 0}) == ["austenite", "ferrite"]
        # What is not measured does not count
        assert find(["C"], composition={"Fe": 1}) == [
            "austenite",
            "cementite",
            "ferrite",
        ]
        assert find(["O"], composition={"Na": 1, "Al": 1, "Si": 3}) == ["albite"]

    @pytest.mark.parametrize("number", [152, 154])
    def test_enantiomorphs(self, folder, number):
        found = search_folder(folder, ["Si", "O"], space_groups=[number])
        assert names_of(found) == ["quartz"]
        assert not len(search_folder(folder, ["Si", "O"], space_groups=[150]))

    def test_duplicates(self, tmp_path):
        """Within 1 %, and mirror images."""
        group, cell, sites = STRUCTURES["ferrite"]
        for name, scale in (("a", 1), ("b", 1.009), ("c", 1.02)):
            scaled = tuple(scale * i for i in cell[:3]) + cell[3:]
            write_cif(tmp_path, name, (group, scaled, sites))
        write_cif(tmp_path, "left", STRUCTURES["quartz"])
        mirrored = [
            (i, -x, -y, -z, occupied)
            for i, x, y, z, occupied in STRUCTURES["quartz"][2]
        ]
        write_cif(tmp_path, "right", ("P 31 2 1", STRUCTURES["quartz"][1], mirrored))
        search = search_folder(tmp_path, ["Fe", "Si", "O"])
        assert search.table["name"].tolist() == ["a", "c", "left"]
        assert search.problems["problem"].tolist() == ["duplicate"] * 2
        assert search.problems["identifier"].tolist() == ["b.cif", "right.cif"]
        assert search.problems["duplicate_of"].tolist() == ["a", "left"]

    def test_names(self, tmp_path):
        """Files of one name in different folders are told apart."""
        for i, name in enumerate(("ferrite", "austenite", "solution")):
            (tmp_path / str(i)).mkdir()
            write_cif(tmp_path / str(i), "iron", STRUCTURES[name])
        search = search_folder(tmp_path)
        assert search.phases.names == [
            "iron (Im-3m) (0/iron.cif)",
            "iron (Fm-3m)",
            "iron (Im-3m) (2/iron.cif)",
        ]

    def test_unreadable(self, tmp_path, caplog):
        """What can be read is found, and the rest is told of."""
        write_cif(tmp_path, "ferrite")
        (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 3\n")
        near = (
            "P 1",
            STRUCTURES["ferrite"][1],
            [("Fe", 0, 0, 0, 1), ("Fe", 0.3, 0, 0, 1)],
        )
        write_cif(tmp_path, "near", near)
        with caplog.at_level(logging.WARNING):
            search = search_folder(tmp_path, ["Fe"])
        assert names_of(search) == ["ferrite"]
        assert search.problems["problem"].tolist() == ["unreadable"] * 2
        assert search.problems["identifier"].tolist() == ["broken.cif", "near.cif"]
        assert "nearer than possible" in search.problems["message"][1]
        assert "broken.cif" in caplog.text
        (tmp_path / "ferrite.cif").unlink()
        with pytest.raises(
            ValueError, match="Nothing in .* could be read. .*broken.cif"
        ):
            search_folder(tmp_path, ["Fe"])


class TestServers:
    """Whatever a server does, what was found before is kept."""

    @pytest.fixture
    def entries(self, everything):
        return [i for i in everything if i["id"] in IN_STEEL]

    def test_paging(self, entries):
        """Pages follow each other, and only what is needed is sent."""
        with serve(entries, page_size=1) as database:
            search = search_online(database)
        assert names_of(search) == IN_STEEL and search.problems.empty
        assert set(search.table["source"]) == {database.url}
        assert set(search.table["licence"]) == {database.licence}
        assert set(search.table["name"]) >= {"CFe3", "Fe (Im-3m)", "Fe (Fm-3m)"}
        pages = [i for i in database.requests if i.startswith("/v1/structures?")]
        assert len(pages) == 4 and len(database.requests) == 5

    def test_stops_early(self, entries):
        with serve(entries, page_size=1) as database:
            search = search_online(database, max_results=2)
        assert len(search) == 2
        assert search.problems["problem"].tolist() == ["limit"]
        assert len(database.requests) == 3

    def test_version_in_address(self, entries):
        with serve(entries) as database:
            database.url += "/v1/"
            assert len(search_online(database, max_results=2)) == 2

    def test_small_pages_only(self, entries):
        with serve(entries, max_page_limit=50) as database:
            assert names_of(search_online(database)) == IN_STEEL

    def test_no_licence(self, entries):
        with serve(entries, licence=None) as database:
            assert set(search_online(database).table["licence"]) == {"not stated"}

    def test_filter_is_ignored(self, everything, monkeypatch):
        monkeypatch.setitem(globals(), "fits_filter", lambda *_: True)
        with serve(everything) as database:
            assert names_of(search_online(database)) == IN_STEEL

    INSTEAD = {
        "dies": ("provider", lambda _, handler: handler.connection.close()),
        "error": (
            "provider",
            lambda _, handler: send(handler, {"errors": [{"detail": "too busy"}]}, 503),
        ),
        "cut": ("page", lambda _, handler: send(handler, b'{"data": [{"id": 1}, ')),
        "web page": (
            "page",
            lambda _, handler: send(handler, b"<html>", 200, "text/html"),
        ),
        "list": ("page", lambda _, handler: send(handler, [1, 2])),
        "no list": ("page", lambda _, handler: send(handler, {"data": "no"})),
        "deep": ("page", lambda _, handler: send(handler, b"[" * 200_000)),
        "not text": ("page", lambda _, handler: send(handler, b"\xff\x00\xfe")),
        "next page": (
            "page",
            lambda _, handler: send(handler, {"data": [], "links": {"next": 5}}),
        ),
        "loop": (
            "page",
            lambda database, handler: send(
                handler, {"data": [], "links": {"next": handler.path}}
            ),
        ),
        "elsewhere": (
            "page",
            lambda _, handler: send(
                handler, {"data": [], "links": {"next": "http://localhost:1/v1"}}
            ),
        ),
    }

    @pytest.mark.parametrize("what", INSTEAD)
    def test_second_page(self, entries, what, caplog):
        kind, answer = self.INSTEAD[what]
        with serve(entries, instead={1: answer}) as database:
            with caplog.at_level(logging.WARNING):
                search = search_online(database)
        assert names_of(search) == sorted(i["id"] for i in entries[:2])
        assert search.problems["problem"].tolist() == [kind]
        assert "page=1" in search.problems["identifier"][0] or what == "loop"
        assert search.problems["message"][0] in caplog.text
        if what == "error":
            assert "503" in caplog.text and "too busy" in caplog.text

    @pytest.mark.parametrize("what", ["dies", "error", "web page", "no list"])
    def test_first_page(self, entries, what):
        with serve(entries, instead={0: self.INSTEAD[what][1]}) as database:
            with pytest.raises(ConnectionError, match="Nothing in .*could be read"):
                search_online(database)

    def test_nobody_there(self):
        with serve([]) as database:
            pass
        with pytest.raises(ConnectionError, match="no answer"):
            search_online(database)

    @pytest.mark.parametrize("status", [301, 302, 307])
    def test_redirected(self, entries, status):
        """Within a server it is followed, and to others it is not."""
        targets = []

        def redirect(_, handler):
            handler.send_response(status)
            handler.send_header("Location", targets[-1] or handler.path + "&page=0")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with serve(entries, page_size=9, instead={1: redirect}) as database:
            url = database.url
            targets.append("http://localhost:1/v1/structures")
            database.instead = {0: redirect}
            with pytest.raises(ConnectionError, match="another server"):
                search_online(database)
            targets.append(f"{url}/v1/structures?filter=")
            with pytest.raises(ConnectionError, match="redirected 5 times"):
                search_online(database)

    def hang(self, handler):
        self.stop.wait(SLOW * 10)

    def drip(self, handler):
        """Send a byte at a time, so that no packet is late."""
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not self.stop.wait(0.1):
            handler.wfile.write(b" ")

    @pytest.mark.parametrize("how", [hang, drip])
    def test_too_slow(self, entries, how):
        with serve(entries, instead={1: how}) as database:
            start = monotonic()
            search = search_online(database, timeout=SLOW)
            assert monotonic() - start < 5 * SLOW
        assert len(search) == 2
        assert search.problems["problem"].tolist() == ["timeout"]

    def test_too_slow_at_once(self, entries):
        with serve(entries, instead={0: TestServers.hang}) as database:
            with pytest.raises(ConnectionError, match="time"):
                search_online(database, timeout=0.5)

    def test_endless(self, entries, monkeypatch):
        """Pages that never end do."""
        monkeypatch.setattr("kikuchipy_spacegroup.phases._optimade._MAX_ENTRIES", 6)

        def more(database, handler):
            following = len(database.requests)
            database.instead[following] = more
            link = f"{database.url}/v1/structures?filter=x&page={following}"
            entry = dict(entries[0], id=str(following))
            send(handler, {"data": [entry] * 2, "links": {"next": link}})

        with serve(entries, instead={0: more}) as database:
            search = search_online(database)
        assert len(search) == 1
        assert set(search.problems["problem"]) == {"duplicate", "limit"}


class TestEntries:
    """What single entries of OPTIMADE may have or lack."""

    def change(self, name="ferrite", **changes):
        entry = optimade_entry(name)
        entry["attributes"] |= changes
        return entry["attributes"]

    PROBLEMS = {
        "no positions": ("no_positions", {"cartesian_site_positions": None}),
        "no lattice": ("no_positions", {"lattice_vectors": None}),
        "no numbers": (
            "no_positions",
            {"cartesian_site_positions": [[0, 0, 0], [1, None, 1]]},
        ),
        "texts": ("no_positions", {"cartesian_site_positions": [["0"] * 3] * 2}),
        "not finite": (
            "no_positions",
            {"cartesian_site_positions": [[0, 0, 0], [1, 1, np.nan]]},
        ),
        "implicit": ("no_positions", {"structure_features": ["implicit_atoms"]}),
        "attached": (
            "no_positions",
            {
                "species": [
                    {"name": "Fe", "chemical_symbols": ["Fe"], "attached": ["C"]}
                ]
            },
        ),
        "too many": ("unreadable", {"cartesian_site_positions": [[0, 0, 0]] * 2000}),
        "surface": ("unreadable", {"dimension_types": [1, 1, 0]}),
        "short": ("unreadable", {"species_at_sites": ["Fe"]}),
        "unknown": (
            "disorder",
            {
                "species": [
                    {"name": "Fe", "chemical_symbols": ["X"], "concentration": [1]}
                ]
            },
        ),
        "too full": (
            "disorder",
            {
                "species": [
                    {
                        "name": "Fe",
                        "chemical_symbols": ["Fe", "Cr"],
                        "concentration": [0.9, 0.9],
                    }
                ]
            },
        ),
        "not described": ("disorder", {"species_at_sites": ["Fe", "Co"]}),
        "groups": ("disorder", {"structure_features": ["assemblies"]}),
        "new feature": ("disorder", {"structure_features": ["magic"]}),
        "other type": ("unreadable", {"species": 5}),
        "other element": (
            "unreadable",
            {"species": None, "species_at_sites": ["Fe", "Q"]},
        ),
        "huge": (
            "unreadable",
            {"species": [{"name": "Fe", "chemical_symbols": [10**400]}]},
        ),
        "too large": (
            "unreadable",
            {
                "species": [
                    {
                        "name": "Fe",
                        "chemical_symbols": ["Fe"],
                        "concentration": [10**400],
                    }
                ]
            },
        ),
        "dense": (
            "unreadable",
            {
                "cartesian_site_positions": [[0.0, 0.0, 0.0]] * 200,
                "species_at_sites": ["Fe"] * 200,
            },
        ),
        "flat": ("unreadable", {"lattice_vectors": [[3, 0, 0], [0, 3, 0], [3, 3, 0]]}),
        "zero": ("unreadable", {"lattice_vectors": [[0, 0, 0]] * 3}),
    }

    def test_problems(self, everything):
        bad = []
        for what, (_, changes) in self.PROBLEMS.items():
            entry = optimade_entry("ferrite")
            entry["id"] = what
            entry["attributes"] |= changes
            bad.append(entry)
        odd = [
            {"id": "type", "type": "references", "attributes": bad[0]["attributes"]},
            {"id": "none", "attributes": None},
            "text",
        ]

        def page(_, handler):
            send(handler, {"data": [*odd, *bad, optimade_entry("austenite")]})

        with serve(everything, instead={0: page}) as database:
            search = search_online(database, ["Fe"])
        assert names_of(search) == ["austenite"]
        found = dict(zip(search.problems["identifier"], search.problems["problem"]))
        expected = {what: kind for what, (kind, _) in self.PROBLEMS.items()}
        expected |= {"type": "unreadable", "none": "no_positions", "": "unreadable"}
        assert found == expected

    def test_nothing_readable(self, everything):
        def page(_, handler):
            entry = optimade_entry("ferrite")
            entry["attributes"]["cartesian_site_positions"] = None
            send(handler, {"data": [entry]})

        with serve(everything, instead={0: page}) as database:
            with pytest.raises(
                ValueError, match="ferrite: it has no lattice or no pos"
            ):
                search_online(database, ["Fe"])

    def test_groups_of_sites(self):
        """One of two atoms is there, or the other."""
        attributes = self.change(
            "salt",
            structure_features=["disorder", "assemblies"],
            assemblies=[
                {
                    "sites_in_groups": [[0, 1, 2, 3], []],
                    "group_probabilities": [0.75, 0.25],
                }
            ],
        )
        content = entry_content(attributes)
        assert [site.occupancy for site in content.sites] == [0.75] * 4 + [1] * 4

    def test_left_handed_axes(self, everything):
        """A mirror image is not made of a structure by its axes."""
        entry = optimade_entry("quartz")
        vectors = entry["attributes"]["lattice_vectors"]
        entry["attributes"]["lattice_vectors"] = [vectors[1], vectors[0], vectors[2]]
        with serve([entry]) as database:
            search = search_online(database, ["Si", "O"])
        assert search.table["space_group"].tolist() == [154]


class TestMistakes:
    """They are told before anything is read or sent."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "Nothing to search for"),
            ({"elements": []}, "elements is empty"),
            ({"elements": "Fe Cr"}, "list of names"),
            ({"elements": ["Fe", "Xx"]}, "'Xx' is no element"),
            ({"composition": {}}, "sum up to zero"),
            ({"composition": {"Fe": 0}}, "sum up to zero"),
            ({"composition": {"Fe": -1, "C": 2}}, "fraction of Fe"),
            ({"composition": {"Fe": np.nan}}, "fraction of Fe"),
            ({"composition": {"Qq": 1}}, "'Qq' is no element"),
            ({"composition": ["Fe"]}, "mapping"),
            ({"elements": ["Fe"], "tolerance": -0.1}, "tolerance"),
            ({"elements": ["Fe"], "space_groups": [0]}, "1 to 230"),
            ({"elements": ["Fe"], "space_groups": [231]}, "1 to 230"),
            ({"elements": ["Fe"], "space_groups": []}, "space_groups is empty"),
            ({"elements": ["Fe"], "max_results": 0}, "max_results"),
            ({"elements": ["Fe"], "max_results": 10**6}, "max_results"),
            ({"elements": ["Fe"], "timeout": 0}, "timeout"),
            ({"elements": ["Fe"], "timeout": np.inf}, "timeout"),
        ],
    )
    def test_query(self, folder, arguments, message):
        with pytest.raises(ValueError, match=message):
            search_structures(source=folder, **arguments)

    def test_source(self, tmp_path, folder):
        with pytest.raises(FileNotFoundError, match="neither a folder, nor 'amcsd'"):
            search_structures(["Fe"], source="icsd")
        with pytest.raises(FileNotFoundError, match="neither a folder"):
            search_structures(["Fe"], source=tmp_path / "missing")
        with pytest.raises(FileNotFoundError, match="neither a folder"):
            search_structures(["Fe"], source=folder / "ferrite.cif")
        with pytest.raises(ValueError, match="no CIFs"):
            search_structures(["Fe"], source=tmp_path)
        with pytest.raises(ValueError, match="text or a path"):
            search_structures(["Fe"], source=5)

    @pytest.mark.parametrize(
        ("source", "module", "extra"),
        [("amcsd", "larixite", "databases"), ("cod", "requests", "optimade")],
    )
    def test_missing_extra(self, monkeypatch, source, module, extra):
        import importlib.util

        find = importlib.util.find_spec

        def find_spec(name, *args):
            return None if name == module else find(name, *args)

        for name in ("_amcsd", "_optimade"):
            monkeypatch.setattr(
                f"kikuchipy_spacegroup.phases.{name}.find_spec", find_spec
            )
        with pytest.raises(ImportError, match=rf"kikuchipy-spacegroup\[{extra}\]"):
            search_structures(["Fe"], source=source)


class TestAmcsd:
    """The database that larixite ships."""

    @pytest.fixture(autouse=True)
    def _needs(self):
        import importlib.util

        if importlib.util.find_spec("larixite") is None:
            pytest.skip("larixite is not installed")

    def test_gold(self):
        search = search_structures(["Au", "Cu"], source="amcsd", show_progressbar=False)
        found = set(zip(search.table["formula"], search.table["space_group"]))
        assert {("Au", 225), ("Cu", 225), ("AuCu3", 221)} <= found
        assert "duplicate" in set(search.problems["problem"])
        assert search.table["licence"].str.contains("Downs").all()
        assert len(set(search.phases.names)) == len(search)

    def test_composition(self):
        search = search_structures(
            composition={"Ti": 1, "O": 2}, source="amcsd", show_progressbar=False
        )
        assert "O2Ti" in set(search.table["formula"])
        for _, phase in search.phases:
            assert phase_composition(phase)["Ti"] == pytest.approx(1 / 3, abs=0.05)
        # Rutile, anatase, brookite
        assert {136, 141, 61} <= set(search.table["space_group"])

    def test_nothing_is_imported(self):
        code = (
            "import sys\n"
            "from kikuchipy_spacegroup.phases import search_structures\n"
            "search_structures(['Au'], source='amcsd', show_progressbar=False)\n"
            "assert not {'larixite', 'pymatgen', 'requests'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("query", [{}, {"composition": {"Fe": 1, "Cr": 1}}])
def test_filter_is_optimade(query):
    """By the grammar of its specification."""
    parser = pytest.importorskip("optimade.filterparser").LarkParser()
    parser.parse(
        optimade_filter(make_query(STEEL, query.get("composition"), 0.05, None))
    )


def test_import_is_light():
    """Nothing that searches is imported before there is a search."""
    code = (
        "import sys\n"
        "import kikuchipy_spacegroup\n"
        "before = {i.split('.')[0] for i in sys.modules}\n"
        "assert not before & {'optimade', 'larixite', 'pymatgen', 'requests', 'sqlite3'}\n"
        "import kikuchipy_spacegroup.phases\n"
        "kikuchipy_spacegroup.phases.search_structures\n"
        "after = {i.split('.')[0] for i in sys.modules}\n"
        "assert not after & {'optimade', 'larixite', 'pymatgen', 'requests', 'sqlite3'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
