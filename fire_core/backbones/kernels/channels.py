"""Products of one edge for all channels of one path, as vector code for numba.

Each function here is emitted as LLVM vectors of `LANES` channels, with the loops over
components m unrolled for every pair of degrees up to `HIGHEST_DEGREE`. Left to itself
the compiler does not vectorise such loops, since it cannot know that the arrays are
apart.

All take the same three arguments: `shape`, (2 l1 + 1, 2 l3 + 1, blocks of channels);
`arrays`, flat arrays of one type; `offsets`, where to begin in each. Arrays of
channels lie as [block][component][lane]. The matrix of an edge and a path, M =
Σ_m2 C_m1m2m3 Y_m2, lies as [m1][m3].
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LANES: Final = 16
"""Channels in a block: one register of AVX-512 in single precision, two of AVX2."""

HIGHEST_DEGREE: Final = 3

UNROLLED: Final = 4
"""Terms that `set_slope` adds at a time."""

_INDEX: Final = ir.IntType(64)


class Lanes:
    """A vector of `LANES` numbers in the code that is being written."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Lanes) -> Lanes:
        value = self.builder.fadd(self.value, other.value, flags=("contract",))
        return Lanes(self.builder, value)

    def __mul__(self, other: Lanes) -> Lanes:
        value = self.builder.fmul(self.value, other.value, flags=("contract",))
        return Lanes(self.builder, value)


class Code:
    """The code of one function for one pair of degrees.

    Parameters
    ----------
    builder
        What the instructions are written to.
    pointers
        First element of each array.
    element
        LLVM's type of one number.
    n_blocks
        Blocks of channels, known at run time.
    """

    def __init__(
        self, builder: Any, pointers: list[Any], element: Any, n_blocks: Any
    ) -> None:
        self.builder, self.pointers, self.n_blocks = builder, pointers, n_blocks
        self.vector = ir.VectorType(element, LANES)
        self.align = 4 if isinstance(element, ir.FloatType) else 8
        self.block = ir.Constant(_INDEX, 0)

    @contextlib.contextmanager
    def each_block(self) -> Iterator[None]:
        """Loop over the blocks of channels; `read` and `write` mean the current one."""
        with cgutils.for_range(self.builder, self.n_blocks) as loop:
            self.block = loop.index
            yield

    def read(self, array: int, rows: int, row: int) -> Lanes:
        """Load a row of the current block, of an array with so many rows a block."""
        value = self.builder.load(self._address(array, rows, row), align=self.align)
        return Lanes(self.builder, value)

    def write(self, array: int, rows: int, row: int, lanes: Lanes) -> None:
        """Store a row of the current block."""
        address = self._address(array, rows, row)
        self.builder.store(lanes.value, address, align=self.align)

    def number(self, array: int, index: int) -> Lanes:
        """Load one number into all lanes."""
        return self._splat(self._load(array, ir.Constant(_INDEX, index)))

    def number_of_block(self, array: int, rows: int, row: int) -> Lanes:
        """Load into all lanes one of the numbers, so many a block, of this block."""
        return self._splat(self._load(array, self._at(rows, row)))

    def row_named(self, array: int, names: int, rows: int, row: int) -> Lanes:
        """Load the row that begins where another array says, as `number_of_block`."""
        begin = self._load(names, self._at(rows, row))
        pointer = self.builder.gep(self.pointers[array], [begin])
        vector = self.builder.bitcast(pointer, self.vector.as_pointer())
        return Lanes(self.builder, self.builder.load(vector, align=self.align))

    def store_total(self, array: int, lanes: Lanes) -> None:
        """Store the sum over the lanes as the first number of an array."""
        value, half = lanes.value, LANES // 2
        while half:
            turned = [(lane + half) % LANES for lane in range(LANES)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), turned)
            other = self.builder.shuffle_vector(value, value, mask)
            value, half = self.builder.fadd(value, other), half // 2
        first = self.builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
        self.builder.store(first, self.pointers[array])

    def zeros(self, count: int) -> list[Any]:
        """Return sums that outlive the loop over blocks; `total` and `add` use them."""
        nought = ir.Constant(self.vector, None)
        sums = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for address in sums:
            self.builder.store(nought, address)
        return sums

    def total(self, address: Any) -> Lanes:
        """Return the present value of a sum."""
        return Lanes(self.builder, self.builder.load(address))

    def add(self, address: Any, lanes: Lanes) -> None:
        """Add to a sum."""
        self.builder.store((self.total(address) + lanes).value, address)

    def _splat(self, value: Any) -> Lanes:
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(
            empty, value, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
        return Lanes(self.builder, self.builder.shuffle_vector(first, empty, mask))

    def _at(self, size: int, offset: int) -> Any:
        begin = self.builder.mul(self.block, ir.Constant(_INDEX, size))
        return self.builder.add(begin, ir.Constant(_INDEX, offset))

    def _load(self, array: int, at: Any) -> Any:
        return self.builder.load(self.builder.gep(self.pointers[array], [at]))

    def _address(self, array: int, rows: int, row: int) -> Any:
        at = self._at(rows * LANES, row * LANES)
        pointer = self.builder.gep(self.pointers[array], [at])
        return self.builder.bitcast(pointer, self.vector.as_pointer())


_WIDTHS: Final = range(1, 2 * HIGHEST_DEGREE + 2, 2)
_PAIRS: Final = [(d1, d3) for d1 in _WIDTHS for d3 in _WIDTHS]


def _vector_function(
    emit: Callable[[Code, int, int], None],
    cases: Sequence[tuple[int, int]] = _PAIRS,
) -> Any:
    """Return a function for numba that picks the code of its degrees at run time."""

    @intrinsic  # type: ignore[untyped-decorator]
    def run(typing: Any, shape: Any, arrays: Any, offsets: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            element = context.get_value_type(signature.args[1][0].dtype)
            pointers = []
            for k, kind in enumerate(signature.args[1]):
                array = context.make_array(kind)(
                    context, builder, builder.extract_value(args[1], k)
                )
                begin = builder.extract_value(args[2], k)
                pointers.append(builder.gep(array.data, [begin]))
            first, third, blocks = (builder.extract_value(args[0], k) for k in range(3))
            key = builder.add(builder.mul(first, ir.Constant(first.type, 16)), third)
            end = builder.append_basic_block("end")
            switch = builder.switch(key, end)
            for d1, d3 in cases:
                case = builder.append_basic_block(f"case_{d1}_{d3}")
                switch.add_case(ir.Constant(first.type, 16 * d1 + d3), case)
                builder.position_at_end(case)
                emit(Code(builder, pointers, element, blocks), d1, d3)
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(shape, arrays, offsets), generate

    return run


def _sum(terms: list[Lanes]) -> Lanes:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _add_messages(code: Code, d1: int, d3: int) -> None:
    x, weights, matrix, out = range(4)
    with code.each_block():
        weight = code.read(weights, 1, 0)
        left = [weight * code.read(x, d1, k) for k in range(d1)]
        for n in range(d3):
            total = code.read(out, d3, n)
            for k in range(d1):
                total = total + left[k] * code.number(matrix, k * d3 + n)
            code.write(out, d3, n, total)


def _add_gradients(code: Code, d1: int, d3: int) -> None:
    x, weights, above, matrix, grad_x, grad_weights, grad_matrix = range(7)
    sums = code.zeros(d1 * d3)
    with code.each_block():
        weight = code.read(weights, 1, 0)
        features = [code.read(x, d1, k) for k in range(d1)]
        grads = [code.read(above, d3, n) for n in range(d3)]
        parts = []
        for k in range(d1):
            back = _sum([grads[n] * code.number(matrix, k * d3 + n) for n in range(d3)])
            code.write(grad_x, d1, k, code.read(grad_x, d1, k) + weight * back)
            parts.append(features[k] * back)
        code.write(grad_weights, 1, 0, _sum(parts))
        for k in range(d1):
            left = weight * features[k]
            for n in range(d3):
                code.add(sums[k * d3 + n], left * grads[n])
    _store_sums(code, grad_matrix, sums)


def _add_second_messages(code: Code, d1: int, d3: int) -> None:
    x, along_x, weights, along_weights, matrix, along_matrix, out = range(7)
    with code.each_block():
        weight, along = code.read(weights, 1, 0), code.read(along_weights, 1, 0)
        features = [code.read(x, d1, k) for k in range(d1)]
        mixed = [
            weight * code.read(along_x, d1, k) + along * features[k] for k in range(d1)
        ]
        plain = [weight * feature for feature in features]
        for n in range(d3):
            total = code.read(out, d3, n)
            for k in range(d1):
                total = total + mixed[k] * code.number(matrix, k * d3 + n)
                total = total + plain[k] * code.number(along_matrix, k * d3 + n)
            code.write(out, d3, n, total)


def _add_second_gradients(code: Code, d1: int, d3: int) -> None:
    x, along_x, weights, along_weights, above = range(5)
    matrix, along_matrix, grad_x, grad_weights, grad_matrix = range(5, 10)
    sums = code.zeros(d1 * d3)
    with code.each_block():
        weight, along = code.read(weights, 1, 0), code.read(along_weights, 1, 0)
        grads = [code.read(above, d3, n) for n in range(d3)]
        parts = []
        for k in range(d1):
            feature, direction = code.read(x, d1, k), code.read(along_x, d1, k)
            back = _sum([grads[n] * code.number(matrix, k * d3 + n) for n in range(d3)])
            other = _sum(
                [grads[n] * code.number(along_matrix, k * d3 + n) for n in range(d3)]
            )
            old = code.read(grad_x, d1, k)
            code.write(grad_x, d1, k, old + weight * other + along * back)
            parts.append(direction * back + feature * other)
            mixed = weight * direction + along * feature
            for n in range(d3):
                code.add(sums[k * d3 + n], mixed * grads[n])
        code.write(grad_weights, 1, 0, _sum(parts))
    _store_sums(code, grad_matrix, sums)


def _store_sums(code: Code, array: int, sums: list[Any]) -> None:
    code.block = ir.Constant(_INDEX, 0)
    for row, address in enumerate(sums):
        code.write(array, len(sums), row, code.total(address))


def _set_matrix(code: Code, d2: int, _: int) -> None:
    harmonics, coefficients, matrix = range(3)
    with code.each_block():
        terms = [
            code.number(harmonics, m) * code.read(coefficients, d2, m)
            for m in range(d2)
        ]
        code.write(matrix, 1, 0, _sum(terms))


def _set_slope(code: Code, _: int, __: int) -> None:
    grad_matrix, places, values, slope = range(4)
    sums = code.zeros(UNROLLED)
    with code.each_block():
        for k, address in enumerate(sums):
            row = code.row_named(grad_matrix, places, UNROLLED, k)
            code.add(address, row * code.number_of_block(values, UNROLLED, k))
    code.store_total(slope, _sum([code.total(address) for address in sums]))


set_matrix = _vector_function(_set_matrix, [(d2, 1) for d2 in _WIDTHS])
"""M_k = Σ_m2 Y_m2 C_m2k; arrays Y, C as [block][m2][lane], M.

`shape` is (2 l2 + 1, 1, blocks of M).
"""

set_slope = _vector_function(_set_slope, [(1, 1)])
"""Slope to one of Y: Σ values × the sums over lanes of the slopes to M.

Arrays: slopes to M in lanes, where those begin that count, values, the slope. `shape`
is (1, 1, terms / `UNROLLED`).
"""

add_messages = _vector_function(_add_messages)
"""out_m3 += Σ_m1 w x_m1 M_m1m3; arrays x, w, M, out."""

add_gradients = _vector_function(_add_gradients)
"""Slopes of Σ g_m3 w x_m1 M_m1m3; arrays x, w, g, M, and to x, w and M.

That to x is added up, the others are set; that to M stays in lanes, [m1][m3][lane].
"""

add_second_messages = _vector_function(_add_second_messages)
"""out_m3 += Σ_m1 (w a + c x)_m1 M_m1m3 + w x_m1 B_m1m3; arrays x, a, w, c, M, B, out.

a, B, c are the directions along which x, M, w change.
"""

add_second_gradients = _vector_function(_add_second_gradients)
"""Slopes of Σ g_m3 [(w a + c x)_m1 M_m1m3 + w x_m1 B_m1m3] to x, w and M.

Arrays x, a, w, c, g, M, B, and the slopes, kept as by `add_gradients`.
"""
