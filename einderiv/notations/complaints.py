r"""Messages for texts that a notation cannot read, and for names and shapes given beside them.

In: the text, the notation's name, and what lark says about the place where it stopped.
Out: a NotationError with the place, what was found there, what could be there, and a way out.
Invariant: `stop_error` has an answer for every place; the parser's own words never reach a user.
All answers are rows of `_ANSWERS`; the first row whose conditions hold gives the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from string import Template
from typing import Any

from ..errors import DimensionError, NotationError, Span
from ..terms import Dim
from . import syntax

ASSUMPTIONS = ("symmetric", "spd", "positive", "nonnegative")


def rows(table: str) -> list[tuple[str, tuple[str, str, str]]]:
    """The messages of a table, each with its key: what is wrong; below it what is so, and the way out."""
    found = re.findall(r"([^:\n]+): (.+)\n +(.+)\n +(.+)", table)
    return [(key, (message, fact, hint)) for key, message, fact, hint in found]


def refusal(
    row: tuple[str, str, str], source: str | None, spans: Sequence[Span], **words: object
) -> NotationError:
    """The error of a row; what has a $ in it comes from `words`."""
    message, fact, hint = (Template(part).substitute(words) for part in row)
    return NotationError(message, source=source, spans=spans, facts=[fact], hint=hint)


# A row: its conditions, joined by &, each a choice of words of which one must hold; then what is wrong, what
# is so, the way out. The words are facts about the place: the notation; the token or the character; what
# the brackets around hold (statement, group, arguments, indices, extents); what the parser waits for
# (an operand, an operator, the extents or the words of a declaration); what is right before, with < in front.
_ANSWERS = rows(r"""
bracket & stray: the bracket $shown closes nothing
  no $partner is open here
  remove it, or open it with $partner
bracket & differs: the bracket $opener is closed by $shown
  $closer closes $opener, and $shown closes $partner
  make the two alike
bracket & open: the bracket $shown is never closed
  a line end inside brackets does not end a statement
  close it with $partner

latex & $END: the formula ends where an operand is missing
  expected a letter, a number, a command or an opening bracket
  complete the formula
latex & UNKNOWN & instead: the command $shown cannot be read
  $fact
  $hint
latex & UNKNOWN: the command $shown is not known
  read are letters, accents, fractions, roots, sums, norms and functions
  $hint
latex & UNDER HAT: a $script stands behind nothing
  scripts belong to what stands before them
  write a letter before it, as in x_i or x^2
latex & EQUALS: a second = stands in the formula
  an equation has a left and a right side
  choose one of the two sides, or end the first equation with \\
latex & COMMA: a comma stands outside of scripts
  commas separate indices, and the two arguments of \max and \min
  paste one formula alone
latex & token: $shown stands where nothing like it can be
  expected a letter, a number, a command or an opening bracket
  complete what stands before it, or remove it
latex: the character $hex has no meaning in LaTeX here
  formulas are letters, numbers, commands, brackets and + - * / ^ _ =
  remove it, or write the command for it

einsum & ARROW: a second arrow
  the arrow stands once, before the output
  write operands->output
einsum & token: a comma stands in the output
  there is one output
  drop the comma
einsum & .: dots that are no ellipsis
  an ellipsis is three dots, with no blank between them
  write ...
einsum & - − > → =: an arrow is not complete
  the output stands behind ->
  write ->
einsum & blank: white space $shown between the labels
  numpy.einsum takes blanks only
  remove it, or write a blank
einsum & 0 1 2 3 4 5 6 7 8 9 _: $shown is no label
  a label is one letter, a to z or A to Z
  choose letters, or pass labels as numbers: ed.einsum(A, [0, 1], B, [1, 2], [0, 2])
einsum & [ ] ( ) { } * / +: $shown stands in an einsum string
  it holds the labels only: 'ij,j->i'
  read A[i,j]*x[j] with notation="index"
einsum: $shown is no label
  a label is one letter, a to z or A to Z
  an einsum string is letters, commas, ... and ->

matrix & TIMES & <.*: a power .** stands in matrix notation
  a power entry by entry is written .^
  write A.^2
matrix & TIMES & <*: a power ** stands in matrix notation
  in NumPy it works entry by entry; a power of a matrix is written ^
  write x.^2 entry by entry, c^2 and A^2 for powers of scalars and matrices
matrix & DIVIDE & </: a whole quotient // stands in matrix notation
  it has no derivative
  write /

indices & NAME NUMBER: $shown follows an index without a comma
  each axis has one index
  separate indices by commas, as in A[i,j]
indices & COLON <COLON: $shown stands where no slice can be
  an index runs over the whole axis; i:n says that it has extent n
  write A[i,j], and cut the array beforehand
indices & COMMA RSQB: an index is missing before $shown
  each axis has one index
  write a name for it, as in A[i,j]
indices: $shown stands among indices
  an index is a name, nothing is computed with it
  write A[i,j]; a function's arguments stand in round brackets
extents & NAME NUMBER: $shown follows an extent without a comma
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, ${column}c : () for a scalar
extents & COMMA RPAR: an extent is missing before $shown
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, ${column}c : () for a scalar
extents: $shown stands among extents
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, ${column}c : () for a scalar
declaration: an opening bracket is missing before $shown
  a declaration lists its extents in round brackets
  write X : (n, d) for a matrix, ${column}c : () for a scalar
words: $shown stands behind a declaration
  assumptions may follow: symmetric, spd, positive, nonnegative
  start a new line, or write ; before it

operand & $END: the text ends where an operand is missing
  expected a number, a name or an opening bracket
  complete the expression
operand & LINE: the line ends where an operand is missing
  expected a number, a name or an opening bracket
  complete it, or put brackets around what goes on over several lines
operand & LSQB: brackets stand behind no name
  expected a number, a name or an opening bracket
  write A[i,j], and (...) to group
operand & RPAR & <LPAR & arguments: the brackets () hold no argument
  expected a number, a name or an opening bracket
  write the argument, or remove them
operand & RPAR & <LPAR: the brackets () hold no expression
  expected a number, a name or an opening bracket
  write the expression, or remove them
operand & EQUALS: a name is missing before =
  expected a number, a name or an opening bracket
  write $y = ...; equality is ==
operand & TRANSPOSE: nothing stands before the transpose $shown
  a transpose stands behind what it turns
  write A', (A*B)'
operand & PLUS MINUS TIMES DIVIDE POWER DOT_TIMES DOT_DIVIDE DOT_POWER: an operand is missing before $shown
  expected a number, a name or an opening bracket
  write it, or remove the operator
operand: an operand is missing before $shown
  expected a number, a name or an opening bracket
  write it

operator & COLON: a colon stands behind something that is not a name
  a declaration is a name, a colon and the extents$slices
  write X : (n, d) on a line of its own
operator & COMMA & group: a comma stands outside an argument list
  commas separate ${listed}arguments and extents
  write a function's name before its arguments, with one pair of brackets: max(a, b)
operator & COMMA: a comma stands outside an argument list
  commas separate ${listed}arguments and extents
  start a new line, or write ; for another statement
operator & COMPARISON & arguments: a second comparison $shown stands in one argument
  a comparison has two sides
  write where(a < b, where(b < c, x, y), y)
operator & COMPARISON: a comparison $shown stands outside an argument
  a comparison is an argument of a function, without brackets of its own
  write where(a $shown b, x, y)
operator & EQUALS: = stands inside an expression
  a statement has at most one =, behind the name that it defines
  start a new line for another definition; equality is ==
operator & LSQB: brackets [ stand behind something that is not a name
  a name, or a call, has one pair of brackets for all its indices
  write A[i,j], or define r[i] = ... first and write r[i]
operator & SEPARATOR: $shown stands inside brackets
  a statement ends outside brackets only
  close the bracket first; arguments are separated by commas
operator: an operator is missing before $shown
  a product is written with *$pointwise
  write 2*x, $product, (a + b)*(c + d)

index & ' ’ ′: a transpose ' stands in index notation
  a transpose swaps the indices: A[j,i]
  write A[j,i], or read the text with notation="matrix"
index & @: a matrix product @ stands in index notation
  a product sums over the index that its factors share
  write A @ b as A[i,j]*b[j]
index & .: a dot stands outside a number
  x .* y is x[i]*y[i] with i on the left, A.T is A[j,i], A.sum() is sum[i](A[i])
  write the indices instead
index & { }: a brace stands in index notation
  indices stand in square brackets, arguments in round ones
  write A[i,j], or read the text with notation="latex"
index & \: a backslash stands in index notation
  names are letters, Greek ones included, digits and _
  write theta or θ, or read the text with notation="latex"
index & |: a bar stands in index notation
  no operator is written so
  write abs(x)
index & ∑: a summation sign stands in index notation
  an index that two factors share is summed; any other is named
  write sum[i](...)
index & superscript: a superscript $shown stands in index notation
  a power is written with ^
  write ^$number

matrix & @: a matrix product @ stands in matrix notation
  it is written *, and .* is the product entry by entry
  write A*B
matrix & [ ]: a bracket [ stands in matrix notation
  no entry, slice or list is written here: x[i] and A[i,j] are index notation
  read the text with notation="index"
matrix & { }: a brace stands in matrix notation
  arguments and groups stand in round brackets
  write (...), or read the text with notation="latex"
matrix & \: a backslash stands in matrix notation
  MATLAB's A\b is the x with A*x = b
  write solve(A, b); LaTeX is read with notation="latex"
matrix & |: a bar stands in matrix notation
  norms and absolute values are functions
  write norm2(x), abs(x) or det(A)
matrix & ‖: a double bar stands in matrix notation
  norms are functions
  write norm2(x)
matrix & ~: a tilde stands in matrix notation
  unequal is written !=
  write != for MATLAB's ~=
matrix & &: an ampersand stands in matrix notation
  conditions are not joined
  write where(a < b, where(c < d, x, y), y)
matrix & ∑: a summation sign stands in matrix notation
  the sum of all entries is a function
  write sum(A)
matrix & ⊗: a sign ⊗ stands in matrix notation
  the Kronecker product is a function
  write kron(A, B)
matrix & ": a quotation mark " stands in matrix notation
  a transpose is written ', twice ''
  write A'
matrix & ⊤ `: a sign $shown stands in matrix notation
  a transpose is written '
  write A'
matrix & superscript: a superscript $raised stands in matrix notation
  a power is written with ^, entry by entry with .^
  write ^$number or .^$number
matrix & module: $owner.$word is NumPy's spelling
  functions stand without a module
  write $plain
matrix & method: .$word is NumPy's spelling
  a transpose is written ', and functions stand before their argument
  write $plain
matrix & .: a dot stands outside a number and an operator
  operators with a dot work entry by entry: .* ./ .^
  write A.*B, or remove the dot

index matrix & !: an exclamation mark stands alone
  unequal is written !=, and there is no factorial
  write exp(lgamma(x + 1)) for x!
index matrix & %: a percent sign stands in $notation notation
  a comment starts with #
  write # instead
index matrix & √: a root sign stands in $notation notation
  functions have names
  write sqrt(x)
index matrix & ≤ ≥ ≠: a sign $shown stands in $notation notation
  comparisons are < <= > >= == !=
  write $plain
index matrix & printable: the character $shown has no meaning here
  $unicode
  names are letters, digits and _; operators are + - * / ^$operators
index matrix: a character that does not print has no meaning here
  $unicode
  names are letters, digits and _; operators are + - * / ^$operators
""")

# Reasons that a reader finds itself.
REASONS = dict(
    rows(r"""
empty brackets: the brackets of $name[] are empty
  brackets hold one index for each axis, and a scalar has no axes
  write $name for a scalar, $name[i] for a vector
left side: the left side of = is not a name
  a definition names a tensor and its indices
  write y[i] = ... for a tensor, c = ... for a scalar
extent: $shown is not an extent
  an axis has a whole number of entries, one at least
  an extent is a name or a positive whole number, as in X : (n, 3)
number: the number $shown is out of range
  $limit
  write a name for it, and give its value as an array
empty at a function: empty brackets stand at the function $name
  brackets at a function name at least one index
  name the indices, as in sum[i](x[i]), or remove the brackets
number as index: the number $shown stands as an index
  an index is a name that runs over a whole axis
  cut the array beforehand, or multiply by a vector that picks the entry
raised letter: a raised $letter ends the name $name
  it is a letter in Unicode, and a transpose is written '
  write $plain'
no expression: there is no expression
  the text $what
  write one, for example $expression
no name: an expression without a name stands before other statements
  its value would be lost: only the last statement may have no name
  name it, as in $definition, or move it to the end
two ellipses: a term has two ellipses
  an ellipsis stands for all axes of the operand that have no letter
  leave one of them
twice in the output: label $label stands twice in the output
  each axis of the output has a label of its own
  give one of them a new letter; a diagonal matrix is a product with an identity: 'i,ij->ij'
in no operand: label $label of the output is in no operand
  $known
  drop it, or multiply by an array of ones that has it
ellipsis: the ellipsis of $name stands for an unknown number of axes
  only the shape of $name tells it
  give it, for example shapes={'$name': ($axes)}
""")
)

# Words in these answers: those of index notation, and of matrix notation.
_WORDS = {
    "column": ("", "x : (n) for a column, "),
    "y": ("y[i]", "y"),
    "slices": ("", "; no range or slice is written here"),
    "listed": ("indices, ", ""),
    "pointwise": ("", ", one entry by entry with .*"),
    "product": ("A[i,j]*x[j]", "A*x"),
    "operators": ("", " ' .* ./ .^"),
}

_INSTEAD = {  # commands of LaTeX that are not read
    "int": ("an integral has no term", "write a sum: \\sum_i"),
    "le": ("a comparison stands in a formula", "use where(a <= b, x, y) in index notation"),
    "ge": ("a comparison stands in a formula", "use where(a >= b, x, y) in index notation"),
    "otimes": ("a Kronecker product needs four indices", "write A_{ij} B_{kl}"),
    "binom": ("a binomial coefficient has no term", "write it with the gamma function"),
    "langle": ("an inner product", "write x^\\top y or x_i y_i"),
    "in": ("a membership is no formula", 'declare with shapes={"X": ("n", "d")}'),
    "begin": ("an environment without a formula of its own", "paste the formula alone"),
    **dict.fromkeys(
        ("ldots", "cdots", "dots"),
        ("dots stand for what is left out", "write the sum: \\sum_i"),
    ),
}
_COMMANDS = (
    "frac sqrt sum prod max min exp log ln sin cos tan sinh cosh tanh arcsin arccos arctan det cdot times "
    "top intercal tilde hat bar mathbf boldsymbol mathrm operatorname text left right lVert rVert alpha beta "
    "gamma delta epsilon theta lambda mu nu pi rho sigma tau phi psi omega Theta Lambda Sigma Phi Psi Omega"
).split()

# NumPy's methods and functions, and how matrix notation writes them; @ is what the method belongs to.
_METHODS = dict(
    pair.split(":")
    for pair in (
        "T:@' H:@' transpose:@' dot:@*B sum:sum(@) mean:mean(@) prod:prod(@) max:max(@) min:min(@) "
        "trace:tr(@) diagonal:diag(@) I:inv(@) shape:size(@,_1) size:numel(@)"
    ).split()
)
_FUNCTIONS = {
    "norm": "norm2",
    "trace": "tr",
    "slogdet": "logdet",
    "dot": "A*B",
    "matmul": "A*B",
    "outer": "x*y'",
    "identity": "eye",
}
_MODULES = frozenset({"np", "numpy", "jnp", "jax", "torch", "tf", "scipy", "sp", "math", "linalg"})
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_LOWERED = str.maketrans(_RAISED, "0123456789-")
_TURNED = "ᵀᵗ"  # letters in Unicode: they would end a name
_PARTNERS = {"(": ")", "[": "]", ")": "(", "]": "["}


def answer(
    facts: set[str], words: Mapping[str, str], source: str, spans: Sequence[Span]
) -> NotationError:
    """The error of the first row whose conditions are among the facts."""
    words = {word: both["matrix" in facts] for word, both in _WORDS.items()} | {**words}
    fits = (row for key, row in _ANSWERS if all(facts & {*c.split()} for c in key.split(" & ")))
    return refusal(next(fits), source, spans, **words)


def sign_error(notation: str, source: str, place: int) -> NotationError:
    """The error for a character that starts no token."""
    facts, words = _sign(notation, source, place)
    words |= {"notation": notation}
    return answer({notation, *facts}, words, source, [(place, place + 1)])


def stop_error(notation: str, source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    token = getattr(mistake, "token", None)
    if token is None:
        return sign_error(notation, source, mistake.pos_in_stream)
    span = (token.start_pos or 0, token.end_pos or 0)
    if token.type == "$END":  # a borrowed place: that of the last token
        span = (span[1], span[1] + 1)
    facts, words = _stop(notation, source, mistake)
    return answer({notation, *facts}, words, source, [span])


def _stop(notation: str, source: str, mistake: Any) -> tuple[set[str], dict[str, str]]:
    """Facts about a token that the parser did not take, and words for them."""
    token, expected = mistake.token, mistake.expected
    kind, start, text = token.type, token.start_pos or 0, str(token)
    if notation == "latex":
        words = {"shown": re.sub(r"\s+", " ", text)[:40]}
        words["script"] = "subscript" if kind == "UNDER" else "superscript"
        if kind == "UNKNOWN":
            return _command(text.lstrip("\\"))
        return {"token", kind}, words
    if kind == "SEPARATOR" and token != ";":
        kind, text = "LINE", "the end of the line"
    stack = [
        getattr(part, "type", "") for part in mistake.interactive_parser.parser_state.value_stack
    ]
    if expected == {"LPAR"}:
        waits = "declaration"
    elif {"LPAR", "NUMBER"} <= expected:
        waits = "operand"
    else:
        waits = "words" if "NAME" in expected else "operator"
    before = {f"<{part}" for part in (*stack[-1:], source[:start][-1:], source[:start][-2:])}
    shown = "the end" if kind == "$END" else short(text)
    return {"token", kind, waits, _innermost(stack), *before}, {"shown": shown}


def _command(word: str) -> tuple[set[str], dict[str, str]]:
    """Facts about a command of LaTeX that is not read, and words for them."""
    if word in _INSTEAD:
        fact, hint = _INSTEAD[word]
        return {"UNKNOWN", "instead"}, {"shown": f"\\{word}", "fact": fact, "hint": hint}
    near = get_close_matches(word, _COMMANDS, n=2, cutoff=0.7)
    hint = "write \\operatorname{name}(...) for a function, \\mathrm{name} for a tensor"
    if near:
        hint = "did you mean " + " or ".join(f"\\{n}" for n in near) + "?"
    return {"UNKNOWN"}, {"shown": f"\\{word[:40]}", "hint": hint}


# "": a finished part, which can only be the kept indices of a call
_BEFORE_PARENTHESIS = dict.fromkeys(("NAME", "RSQB", ""), "arguments") | {"COLON": "extents"}


def _innermost(kinds: Sequence[str]) -> str:
    """What the innermost open bracket on the parser's stack holds."""
    closed = 0
    for place in range(len(kinds) - 1, -1, -1):
        if kinds[place] in {"RPAR", "RSQB"}:
            closed += 1
        elif kinds[place] in {"LPAR", "LSQB"} and closed:
            closed -= 1
        elif kinds[place] == "LSQB":
            return "indices"
        elif kinds[place] == "LPAR":
            return _BEFORE_PARENTHESIS.get(kinds[place - 1] if place else "SEPARATOR", "group")
    return "statement"


def _sign(notation: str, source: str, place: int) -> tuple[set[str], dict[str, str]]:
    """Facts about a character that starts no token, and words for them."""
    char = source[place]
    facts = {char}
    words = {
        "shown": char if char.isprintable() else repr(char),
        "hex": char if char.isprintable() else hex(ord(char)),
        "unicode": f"it is U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip(),
        "plain": {"≤": "<=", "≥": ">=", "≠": "!="}.get(char, ""),
    }
    raised = re.match(f"[{_RAISED}]+", source[place : place + 40])
    if char.isprintable():
        facts.add("printable")
    if char.isspace():
        facts.add("blank")
    if raised and (char != "⁻" or notation == "matrix"):
        facts.add("superscript")
        number = raised.group() if notation == "matrix" else char
        words |= {"raised": raised.group(), "number": number.translate(_LOWERED)}
    if char == "." and notation == "matrix":
        before = re.search(rf"({_DOTTED}|\))$", source[max(0, place - 80) : place])
        after = re.match(rf"\.({_DOTTED})", source[place : place + 80])
        owner, word = before.group(1) if before else "", after.group(1) if after else ""
        first, last = word.partition(".")[0], word.rpartition(".")[2]
        if owner.partition(".")[0] in _MODULES:
            plain = _FUNCTIONS.get(last, last)
            plain = plain if "*" in plain else f"{plain}(...)"
            return {"module"}, {"owner": owner, "word": word, "plain": plain}
        if first in _METHODS:
            shown = "(...)" if owner == ")" else owner or "A"
            plain = _METHODS[first].replace("_", " ").replace("@", shown)
            return {"method"}, {"word": first, "plain": plain.replace("((...))", "(...)")}
    return facts, words


def short(token: str) -> str:
    """A token for a message."""
    return token if len(token) <= 40 else f"{token[:20]}...{token[-10:]}"


def check_name(name: str, span: Span) -> None:
    """A transpose sign that is a letter in Unicode ends no name: xᵀ."""
    if name[-1] in _TURNED:
        words = {"letter": name[-1], "name": name, "plain": name.rstrip(_TURNED) or "A"}
        raise refusal(REASONS["raised letter"], None, [span], **words)


def check_brackets(source: str) -> None:
    """Every bracket outside comments has its partner; else the place of the one that has none."""
    opened: list[tuple[str, Span]] = []
    for match in re.finditer(r"[()\[\]]|#[^\n]*", source):
        char, span = match.group(), match.span()
        if char in "([":
            opened.append((char, span))
        elif char in ")]":
            opener, start = opened.pop() if opened else ("", span)
            if opener != _PARTNERS[char]:
                words = {"shown": char, "partner": _PARTNERS[char], "opener": opener}
                words["closer"] = _PARTNERS.get(opener, "")
                what = "differs" if opener else "stray"
                raise answer({"bracket", what}, words, source, sorted({start, span}))
    if opened:
        opener, span = opened[-1]
        words = {"shown": opener, "partner": _PARTNERS[opener]}
        raise answer({"bracket", "open"}, words, source, [span])


def assumption(word: str, span: Span | None = None) -> str:
    """A known assumption, or an error with the nearest ones."""
    if word in ASSUMPTIONS:
        return word
    near = get_close_matches(word[:40], ASSUMPTIONS, n=2)
    raise NotationError(
        f"unknown assumption {short(word)}",
        spans=[span] if span else [],
        facts=[f"known are {', '.join(ASSUMPTIONS)}"],
        hint=f"did you mean {' or '.join(near)}?" if near else "remove it",
    )


def assumptions(words: object) -> set[str]:
    """Known assumptions given in Python: words in a list, or one word alone."""
    return {assumption(str(word)) for word in (words if isinstance(words, Iterable) else [words])}


def check_names(given: object, example: str) -> None:
    """A dict whose keys are names, given as the argument that `example` shows."""
    word = example.partition("=")[0]
    if not isinstance(given, Mapping):
        wrong = f"{given!r} is no dict"
    else:
        names = [n for n in given if not (isinstance(n, str) and n.isidentifier())]
        wrong = ", ".join(f"{name!r} is no name" for name in names)
    if wrong:
        raise NotationError(
            f"{word}= cannot be read: {wrong}",
            facts=["it is a dict whose keys are names of tensors"],
            hint=f"write {example}",
        )


def shape(name: str, axes: object) -> tuple[Dim, ...]:
    """The extents given in Python for a tensor."""
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise DimensionError(
            f"{axes!r} is no shape of {name}",
            facts=["a shape is a tuple of extents, one for each axis"],
            hint=f"write shapes={{{name!r}: ({axes!r},)}}",
        )
    given: list[Any] = [getattr(dim, "name", dim) for dim in axes]
    for dim in given:
        number = isinstance(dim, int) and not isinstance(dim, bool) and dim >= 0
        if not number and not (isinstance(dim, str) and dim.isidentifier()):
            raise DimensionError(
                f"{dim!r} is no extent of {name}",
                facts=["an extent is a name or a number, 0 or more"],
                hint=f"write shapes={{{name!r}: ('n', 3)}}",
            )
    return tuple(given)


def check_statements(
    source: str,
    statements: Sequence[syntax.Declaration | syntax.Definition],
    expression: str,
    definition: str,
) -> None:
    """Check that an expression is there, and a bare one comes last; messages show an example of each."""
    definitions = [s for s in statements if isinstance(s, syntax.Definition)]
    if not definitions:
        what = "only declares tensors" if statements else "is empty"
        spans = [statement.span for statement in statements[-1:]]
        words = {"what": what, "expression": expression}
        raise refusal(REASONS["no expression"], source, spans, **words)
    for statement in definitions:
        if statement.name is None and statement is not statements[-1]:
            span = statement.span
            raise refusal(REASONS["no name"], source, [span], definition=definition)
