"""What a bank line is, in one vocabulary over the codes of all formats (RC-7, RC-12).

Tables alone. The bank's own code stays beside the common word; a code nobody listed is OTHER.
"""

from __future__ import annotations

from functools import lru_cache

TRANSFER, DIRECT_DEBIT, CARD, CHEQUE, CASH = "TRANSFER", "DIRECT_DEBIT", "CARD", "CHEQUE", "CASH"
FEE, INTEREST, RETURN, SWEEP, FX, OTHER = "FEE", "INTEREST", "RETURN", "SWEEP", "FX", "OTHER"
KINDS = (
    *(TRANSFER, DIRECT_DEBIT, CARD, CHEQUE, CASH),
    *(FEE, INTEREST, RETURN, SWEEP, FX, OTHER),
)

# ISO 20022 external bank transaction codes: the sub-family decides first, then the family.
ISO_SUB_FAMILIES = {
    **dict.fromkeys(("CHRG", "COMM", "FEES", "COME"), FEE),
    **dict.fromkeys(("INTR",), INTEREST),
    **dict.fromkeys(("RPCR", "UPCT", "UPDD", "RRTN", "ARET", "PRDD", "RIMB", "UPCQ"), RETURN),
    **dict.fromkeys(("SWEP", "ZABA", "TOPG", "OWNA", "OWNI", "ACCB"), SWEEP),
    **dict.fromkeys(("FCDP", "FCWD"), FX),
}
ISO_FAMILIES = {
    **dict.fromkeys(("RCDT", "ICDT", "RRCT", "IRCT"), TRANSFER),
    **dict.fromkeys(("RDDT", "IDDT"), DIRECT_DEBIT),
    **dict.fromkeys(("CCRD", "MCRD"), CARD),
    **dict.fromkeys(("RCHQ", "ICHQ"), CHEQUE),
    **dict.fromkeys(("CNTR", "DRFT"), CASH),
    **dict.fromkeys(("CAPL", "ACOP"), SWEEP),
    **dict.fromkeys(("MDOP", "MCOP"), OTHER),
    **dict.fromkeys(("SPOT", "FWRD", "SWAP"), FX),
}
# MT940 field 61: the three letters behind N, S or F.
SWIFT = {
    **dict.fromkeys(("TRF", "BOE", "CLR", "LDP", "MSC", "SWF", "STO", "SAL"), TRANSFER),
    **dict.fromkeys(("DDT", "COL", "DDB"), DIRECT_DEBIT),
    **dict.fromkeys(("CRD", "CCD", "ECK", "POS", "VCD"), CARD),
    **dict.fromkeys(("CHK", "TCK", "CHQ"), CHEQUE),
    **dict.fromkeys(("CSH", "ATM"), CASH),
    **dict.fromkeys(("CHG", "COM", "BNK", "BRF", "FEE"), FEE),
    **dict.fromkeys(("INT", "DIV"), INTEREST),
    **dict.fromkeys(("RTI", "RET"), RETURN),
    **dict.fromkeys(("CMI", "CMN", "CMP", "CMS", "CMT", "CMZ", "CMB"), SWEEP),
    **dict.fromkeys(("FEX", "FXD"), FX),
}
# The German business transaction codes that lead field 86.
GVC = {
    **dict.fromkeys(
        ("004", "005", "104", "105", "106", "107", "108", "109", "171", "181", "184"), DIRECT_DEBIT
    ),
    **dict.fromkeys(("116", "117", "118", "119", "152", "153", "154", "156", "157"), TRANSFER),
    **dict.fromkeys(("166", "168", "169", "177", "191", "192", "201", "202"), TRANSFER),
    **dict.fromkeys(("008", "020", "051", "052", "053"), TRANSFER),
    **dict.fromkeys(("001", "002", "101", "102", "103", "111", "112"), CHEQUE),
    **dict.fromkeys(("082", "083"), CASH),
    **dict.fromkeys(("159", "009", "059"), RETURN),
    **dict.fromkeys(("805", "808", "809", "835"), FEE),
    **dict.fromkeys(("814", "815"), INTEREST),
    **dict.fromkeys(("833", "834"), SWEEP),
}
# BAI2: three digits; single codes before ranges.
BAI2 = {
    **dict.fromkeys(("195", "206", "208", "495", "506", "508"), TRANSFER),
    **dict.fromkeys(("142", "143", "145", "147", "165", "166", "169", "447", "451"), TRANSFER),
    **dict.fromkeys(("108", "115", "116", "171", "174", "175", "301"), CHEQUE),
    **dict.fromkeys(("455", "469"), DIRECT_DEBIT),
    **dict.fromkeys(("475", "472", "474"), CHEQUE),
    **dict.fromkeys(("214", "494"), FX),
    **dict.fromkeys(("275", "277", "575", "577"), SWEEP),
    **dict.fromkeys(("354", "357", "359"), INTEREST),
    **dict.fromkeys(("661", "654", "659", "698", "699"), FEE),
    **dict.fromkeys(("255", "257", "261", "266", "555", "557", "561", "566", "567"), RETURN),
}
OFX = {
    **dict.fromkeys(("XFER", "PAYMENT", "REPEATPMT", "DIRECTDEP", "DEP"), TRANSFER),
    "DIRECTDEBIT": DIRECT_DEBIT,
    **dict.fromkeys(("POS",), CARD),
    "CHECK": CHEQUE,
    **dict.fromkeys(("ATM", "CASH"), CASH),
    **dict.fromkeys(("FEE", "SRVCHG"), FEE),
    **dict.fromkeys(("INT", "DIV"), INTEREST),
}


@lru_cache(maxsize=4096)
def of_iso(family: str, sub_family: str) -> str:
    return ISO_SUB_FAMILIES.get(sub_family) or ISO_FAMILIES.get(family, OTHER)


def of_swift(code: str, gvc: str = "") -> str:
    """The German code says more than the letters of SWIFT where it is there."""
    return GVC.get(gvc) or SWIFT.get(code, OTHER)


def of_bai2(code: str) -> str:
    return BAI2.get(code, OTHER)


def of_ofx(code: str) -> str:
    return OFX.get(code, OTHER)


def bai2_sign(code: str) -> int:
    """1 for money in, -1 for money out, 0 for what moves no money."""
    number = int(code)
    if 100 <= number <= 399 or 920 <= number <= 959:
        return 1
    if 400 <= number <= 699 or 960 <= number <= 999:
        return -1
    return 0
