"""Orders in which no condition gains by its place or by what was heard before it."""


def williams(conditions: int) -> list[list[int]]:
    """Williams' Latin square, (orders, conditions): each row an order of 0 … conditions - 1.

    Over its rows every condition stands in every place equally often, and comes directly after every other equally
    often: once where their number is even, twice in the 2 x conditions rows that an odd number needs (E. J. Williams,
    "Experimental designs balanced for the estimation of residual effects of treatments", 1949).

    Raises ValueError for less than one condition.
    """
    if conditions < 1:
        raise ValueError(f"a square needs at least one condition, not {conditions}")
    # 0, 1, n-1, 2, n-2 …: neighbours differ by every number once.
    first = [(place + 1) // 2 if place % 2 else -(place // 2) % conditions for place in range(conditions)]
    square = [[(start + shift) % conditions for start in first] for shift in range(conditions)]
    return square + [row[::-1] for row in square] if conditions % 2 and conditions > 1 else square
