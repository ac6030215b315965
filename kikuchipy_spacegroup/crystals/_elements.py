# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols of elements, from symbols of ions, labels of sites and formulas."""

from collections.abc import Collection
import re

# Symbols in the order of atomic numbers
ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu "
    "Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba "
    "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
    "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"
).split()
# Isotopes of hydrogen
_HYDROGEN = {"D": "H", "T": "H"}
# A charge after the symbol: 2+, +2, +, 0+
_CHARGE = re.compile(r"(?<=[A-Za-z])([\d.]*[+-]|[+-][\d.]*)$")


def element_symbol(name: str | int) -> str:
    """Element symbol of an ion, isotope of hydrogen or atomic number.

    Parameters
    ----------
    name
        Symbol of an element, ion or isotope of hydrogen, or atomic
        number.

    Returns
    -------
    symbol
        Symbol of the element.

    Raises
    ------
    ValueError
        If there is no such element.

    See Also
    --------
    phase_composition

    Examples
    --------
    >>> from kikuchipy_spacegroup.crystals import element_symbol
    >>> element_symbol("Fe3+"), element_symbol("O-2"), element_symbol(26)
    ('Fe', 'O', 'Fe')
    """
    text = str(name).strip()
    if text.isdigit() and 0 < int(text) <= len(ELEMENTS):
        return ELEMENTS[int(text) - 1]
    symbol = _CHARGE.sub("", text)
    symbol = _HYDROGEN.get(symbol, symbol)
    if symbol not in ELEMENTS:
        raise ValueError(
            f"{name!r} is no element. Give the symbol of an element from H to "
            f"{ELEMENTS[-1]}, with or without a charge, or an atomic number"
        )
    return symbol


def element_of_site(name: str, formula: Collection[str] = ()) -> str:
    """Element of a site from its type symbol or label in a file.

    Parameters
    ----------
    name
        Type symbol, such as ``"Fe2+"``, or label, such as ``"FeA"``,
        ``"Si(2)"`` or ``"OH1"``.
    formula
        Elements in the formula that the file states, which decide where
        a label may stand for two.

    Returns
    -------
    symbol
        Symbol of the element.

    Raises
    ------
    ValueError
        If the name begins with no element, or may stand for two.

    Examples
    --------
    >>> from kikuchipy_spacegroup.crystals._elements import element_of_site
    >>> element_of_site("FeA"), element_of_site("OX"), element_of_site("SI1", ["Si"])
    ('Fe', 'O', 'Si')
    """
    try:
        return element_symbol(name)
    except ValueError:
        pass
    letters = re.match(r"[A-Za-z]*", name.strip())[0]
    if letters.lower().startswith("wat"):  # Water molecules, given by their oxygen
        return "O"
    # The first two letters and the first one, if they are elements
    symbols = []
    for text in dict.fromkeys((letters[:2], letters[:1])):
        symbol = text.capitalize()
        symbol = _HYDROGEN.get(symbol, symbol)
        if symbol in ELEMENTS:
            symbols.append(symbol)
    if len(symbols) == 2 and letters[1].islower():
        symbols = symbols[:1]  # Written as symbols are
    if len(symbols) == 2 and formula:
        symbols = [symbol for symbol in symbols if symbol in formula] or symbols
    if not symbols:
        raise ValueError(
            f"{name!r} does not begin with the symbol of an element. Give sites type "
            "symbols (_atom_site_type_symbol)"
        )
    if len(symbols) == 2:
        raise ValueError(
            f"{name!r} may stand for {symbols[0]} or {symbols[1]}. Give sites type "
            "symbols (_atom_site_type_symbol) or the file a formula (_chemical_formula_sum)"
        )
    return symbols[0]


def read_formula(text: str) -> dict[str, float]:
    """Amounts of elements in a chemical formula.

    Parameters
    ----------
    text
        Formula such as ``"Fe1.8 Mg0.2 Si O4"``, with amounts after
        symbols, and groups in brackets such as ``"(Fe, Mg)2 SiO4"``
        refused.

    Returns
    -------
    amounts
        Amount by element. Empty if the text is no formula that can be
        read without doubt.

    Examples
    --------
    >>> from kikuchipy_spacegroup.crystals._elements import read_formula
    >>> read_formula("Si O2")
    {'Si': 1.0, 'O': 2.0}
    """
    # A charge at the end of an ion is no amount
    text = re.sub(r"(?<![\w.])[\d.]*[+-](?=\s|$)", " ", text.strip())
    tokens = re.findall(r"([A-Z][a-z]?)\s?((?:\d+\.?\d*|\.\d+)?)", text)
    rest = re.sub(r"([A-Z][a-z]?)\s?((?:\d+\.?\d*|\.\d+)?)|[\s'\"~]", "", text)
    if rest or not tokens:
        return {}
    amounts: dict[str, float] = {}
    for symbol, number in tokens:
        symbol = _HYDROGEN.get(symbol, symbol)
        if symbol not in ELEMENTS:
            return {}
        amounts[symbol] = amounts.get(symbol, 0.0) + float(number or 1)
    return {symbol: amount for symbol, amount in amounts.items() if amount > 0}
