"""Recorded profiles of both sides, reduced to the project's functions with the seconds that were charged to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_perfguard.engine.profile.charges import Side
from pytest_perfguard.engine.profile.model import CallProfile, Cost, StackSamples
from tests.engine.profile.made import US, ours

#: Name, calls, microseconds in the smallest slice, the second smallest and the smallest of both halves, number of samples.
Row = tuple[str, float, float, float, float, float, int]


def recorded_side(measured: float, sampled: float, rows: Sequence[Row]) -> Side:
    """`measured` and `sampled`: microseconds per call alone, and while it was sampled."""

    def profile(column: int) -> CallProfile:
        return CallProfile({ours(row[0]): Cost(row[1], row[column] * US, row[column] * US) for row in rows})

    samples = StackSamples({(ours(row[0]),): row[6] for row in rows if row[6]}, sampled * US)
    return Side(profile(2), profile(3), samples, measured * US, (profile(4), profile(5)))


#: Name of the case, base and head: identical code, with a loss of 20 % that nothing had. Were the profiles not required
#: to show the loss by themselves, a function would be blamed in each of them.
UNCHANGED: Final[Sequence[tuple[str, Side, Side]]] = (
    (
        "common",
        recorded_side(
            7.111,
            19.79,
            [("common", 1.0, 19.29, 22.61, 19.29, 22.61, 364), ("test_case", 1.0, 0.6487, 0.6619, 0.6619, 0.6487, 15)],
        ),
        recorded_side(
            8.533,
            27.62,
            [("common", 1.0, 18.93, 25.92, 26.11, 18.93, 327), ("test_case", 1.0, 0.6342, 0.6389, 0.6342, 0.6399, 6)],
        ),
    ),
    (
        "ipaddress._BaseNetwork.broadcast_address",
        recorded_side(
            7.096,
            24.35,
            [
                ("test_case", 1.0, 2.208, 2.388, 2.405, 2.208, 59),
                ("_BaseNetwork.num_addresses", 30.0, 8.223, 8.576, 8.223, 8.576, 136),
                ("_BaseAddress.__int__", 60.0, 2.246, 2.291, 2.246, 2.348, 175),
            ],
        ),
        recorded_side(
            8.515,
            18.75,
            [
                ("test_case", 1.0, 2.04, 2.168, 2.04, 2.203, 79),
                ("_BaseNetwork.num_addresses", 30.0, 27.44, 30.23, 30.23, 27.44, 149),
                ("_BaseAddress.__int__", 60.0, 2.197, 2.214, 2.197, 2.246, 206),
            ],
        ),
    ),
    (
        "flatten",
        recorded_side(
            53.89,
            88.71,
            [("test_case", 1.0, 11.54, 11.6, 11.63, 11.54, 23), ("flatten", 1.0, 112.8, 167.2, 167.1, 113.0, 321)],
        ),
        recorded_side(
            64.67,
            85.56,
            [("flatten", 1.0, 103.3, 106.0, 103.3, 106.7, 297), ("test_case", 1.0, 11.31, 11.51, 11.51, 11.31, 27)],
        ),
    ),
    (
        "save",
        recorded_side(
            155.0,
            766.7,
            [("test_case", 1.0, 0.5725, 0.6063, 0.6063, 0.5725, 0), ("save", 1.0, 174.4, 176.0, 175.7, 174.8, 378)],
        ),
        recorded_side(
            186.0,
            586.1,
            [("save", 1.0, 175.7, 176.7, 179.3, 176.0, 372), ("test_case", 1.0, 0.561, 0.6357, 0.8006, 0.561, 1)],
        ),
    ),
    (
        "checksum",
        recorded_side(
            132.3,
            441.7,
            [
                ("test_case", 1.0, 0.43, 0.4632, 0.4632, 0.43, 0),
                ("Catalogue.checksum", 1.0, 148.8, 228.1, 256.4, 149.1, 432),
            ],
        ),
        recorded_side(
            158.8,
            382.4,
            [
                ("Catalogue.checksum", 1.0, 145.1, 145.9, 146.9, 145.1, 430),
                ("test_case", 1.0, 0.4112, 0.4121, 0.4121, 0.4112, 0),
            ],
        ),
    ),
    (
        "urllib.parse.quote_from_bytes",
        recorded_side(
            10.92,
            32.96,
            [
                ("quote_from_bytes", 1.0, 8.033, 8.566, 27.73, 8.469, 335),
                ("test_case", 1.0, 0.2056, 0.2125, 0.2056, 0.2263, 3),
                ("quote", 1.0, 0.4901, 0.5037, 0.4916, 0.5037, 8),
            ],
        ),
        recorded_side(
            13.11,
            30.13,
            [
                ("quote_from_bytes", 1.0, 27.17, 27.55, 27.7, 38.84, 372),
                ("test_case", 1.0, 0.2145, 0.2223, 0.2145, 0.2223, 1),
                ("quote", 1.0, 0.5144, 0.515, 0.5132, 0.5157, 6),
            ],
        ),
    ),
    (
        "log_lines",
        recorded_side(
            36.25,
            97.0,
            [
                ("log_lines", 1.0, 39.61, 39.97, 39.73, 39.85, 466),
                ("test_case", 1.0, 0.4318, 0.4538, 0.4538, 0.4318, 0),
            ],
        ),
        recorded_side(
            43.5,
            93.44,
            [("test_case", 1.0, 0.4337, 0.438, 0.4337, 0.4465, 0), ("log_lines", 1.0, 39.44, 39.81, 39.78, 39.47, 525)],
        ),
    ),
)
#: Name of the function that an edit made slower in each call, base and head.
PLANTED: Final[Sequence[tuple[str, Side, Side]]] = (
    (
        "flatten",
        recorded_side(
            53.59,
            152.6,
            [("test_case", 1.0, 11.62, 11.75, 11.62, 11.75, 33), ("flatten", 1.0, 108.0, 213.9, 108.0, 213.9, 288)],
        ),
        recorded_side(
            77.07,
            235.3,
            [("test_case", 1.0, 11.46, 11.52, 11.46, 11.54, 32), ("flatten", 421.0, 264.2, 344.4, 345.3, 264.3, 401)],
        ),
    ),
    (
        "_BaseV4._parse_octet",
        recorded_side(
            39.12,
            108.9,
            [
                ("_BaseV4._parse_octet", 80.0, 39.0, 40.23, 40.19, 39.08, 172),
                ("IPv4Address.__init__", 20.0, 11.56, 11.78, 11.56, 11.86, 34),
                ("test_case", 1.0, 7.47, 7.52, 7.47, 7.52, 5),
                ("ip_address", 20.0, 4.741, 4.781, 4.741, 4.781, 46),
                ("_BaseV4._ip_int_from_string", 20.0, 20.33, 20.48, 20.46, 20.41, 82),
            ],
        ),
        recorded_side(
            61.48,
            172.0,
            [
                ("_BaseV4._parse_octet", 80.0, 62.15, 63.49, 62.29, 63.42, 240),
                ("IPv4Address.__init__", 20.0, 11.72, 11.97, 11.72, 12.07, 23),
                ("test_case", 1.0, 7.768, 8.167, 7.768, 8.167, 9),
                ("_BaseV4._ip_int_from_string", 20.0, 20.85, 21.47, 20.86, 21.76, 59),
                ("ip_address", 20.0, 4.744, 4.806, 4.889, 4.744, 28),
            ],
        ),
    ),
    (
        "save",
        recorded_side(
            156.2,
            558.4,
            [("test_case", 1.0, 0.415, 0.4657, 0.4657, 0.415, 0), ("save", 1.0, 175.6, 178.8, 179.7, 175.7, 377)],
        ),
        recorded_side(
            359.8,
            1389.0,
            [("save", 1.0, 401.2, 404.0, 402.5, 404.6, 355), ("test_case", 1.0, 0.7311, 0.8377, 0.7311, 0.8545, 0)],
        ),
    ),
    (
        "Catalogue.checksum",
        recorded_side(
            129.3,
            348.6,
            [
                ("test_case", 1.0, 0.3888, 0.3984, 0.3888, 0.3984, 0),
                ("Catalogue.checksum", 1.0, 146.1, 147.1, 146.9, 146.4, 443),
            ],
        ),
        recorded_side(
            638.5,
            1808.0,
            [
                ("test_case", 1.0, 2.179, 2.707, 2.179, 2.744, 0),
                ("Catalogue.checksum", 1.0, 1267.0, 2504.0, 1270.0, 3473.0, 426),
            ],
        ),
    ),
    (
        "token",
        recorded_side(
            19.25,
            98.67,
            [
                ("test_case", 1.0, 0.2285, 0.2391, 0.2391, 0.2285, 0),
                ("token", 3.0, 20.09, 20.13, 20.1, 20.41, 483),
                ("login", 1.0, 0.9294, 0.9384, 0.9384, 0.9294, 0),
            ],
        ),
        recorded_side(
            45.87,
            261.4,
            [
                ("login", 1.0, 1.28, 1.31, 1.29, 1.336, 0),
                ("test_case", 1.0, 0.3596, 0.3598, 0.3639, 0.3596, 0),
                ("token", 3.0, 67.17, 81.04, 67.18, 128.9, 582),
            ],
        ),
    ),
    (
        "pack",
        recorded_side(
            11.6,
            40.59,
            [
                ("pack", 5.0, 12.68, 12.71, 12.69, 12.71, 580),
                ("test_case", 1.0, 0.311, 0.3172, 0.3188, 0.311, 0),
                ("send", 1.0, 0.6801, 0.6864, 0.6801, 0.6895, 0),
            ],
        ),
        recorded_side(
            13.66,
            52.47,
            [
                ("send", 1.0, 0.7698, 0.7808, 0.7698, 0.7852, 0),
                ("pack", 5.0, 15.15, 15.49, 29.08, 15.15, 552),
                ("test_case", 1.0, 0.321, 0.3371, 0.3371, 0.321, 0),
            ],
        ),
    ),
)
