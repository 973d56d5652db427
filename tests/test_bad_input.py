# ruff: noqa: E501  (messages as they are printed)
"""Bad input: every mistake with its error class and the full text of its message.

A case is a line `>>> expression` and what it prints; the names it uses are in NAMES. The text holds the
place, what is so, and a way out. Then what must not fail, and random mutations of valid programs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import einderiv as ed
from einderiv import errors
from tests.random_programs import random_program

BUILTINS: dict[str, type[Exception]] = {
    "NotationError": ValueError,
    "DimensionError": ValueError,
    "DerivativeError": ValueError,
    "DataError": TypeError,
    "ResourceLimitError": MemoryError,
    "BackendError": Exception,
}

NAMES = {
    "np": np,
    "ed": ed,
    "scipy": scipy,
    "parse": ed.parse,
    "x": np.arange(3.0),
    "A": np.eye(3),
    "Ax": ed.parse("y[i] = A[i,j]*x[j]"),
    "xAx": ed.parse("x[i]*A[i,j]*x[j]"),
    "xx": ed.parse("x[i]*x[i]"),
    "outer": ed.parse("C[i,j] = x[i]*x[j]"),
    "squares": ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])"),
}

CASES = r"""
# brackets

>>> parse('(a + b')
NotationError: the bracket ( is never closed
    (a + b
    ^
  a line end inside brackets does not end a statement
  close it with )

>>> parse('a + b)')
NotationError: the bracket ) closes nothing
    a + b)
         ^
  no ( is open here
  remove it, or open it with (

>>> parse('A[i,j')
NotationError: the bracket [ is never closed
    A[i,j
     ^
  a line end inside brackets does not end a statement
  close it with ]

>>> parse('A[i,j)*(x')
NotationError: the bracket [ is closed by )
    A[i,j)*(x
     ^   ^
  ] closes [, and ) closes (
  make the two alike

>>> parse('exp(a]')
NotationError: the bracket ( is closed by ]
    exp(a]
       ^ ^
  ) closes (, and ] closes [
  make the two alike

>>> parse('y[i] = (A[i,j]*x[j]\nz = y[i]')
NotationError: the bracket ( is never closed
    1: y[i] = (A[i,j]*x[j]
              ^
  a line end inside brackets does not end a statement
  close it with )

# functions

>>> parse('sigmiod(x)')
NotationError: unknown function sigmiod
    sigmiod(x)
    ^^^^^^^
  did you mean sigmoid?

>>> parse('expp(x[i])')
NotationError: unknown function expp
    expp(x[i])
    ^^^^
  did you mean exp or expm1?

>>> parse('frobnicate(x)')
NotationError: unknown function frobnicate
    frobnicate(x)
    ^^^^^^^^^^
  known are abs, acos, asin, atan, atan2, cholesky, cos, cosh, det, digamma, erf, erfc, exp, expm1, inv, lgamma, log, log1p, logdet, logsoftmax, logsumexp, max, mean, min, polygamma, prod, relu, sigmoid, sign, sin, sinh, softmax, softplus, solve, sqrt, step, sum, tan, tanh, tr, tril, where
  an entry is written frobnicate[i], a product with *

>>> parse('x(i)')
NotationError: unknown function x
    x(i)
    ^
  known are abs, acos, asin, atan, atan2, cholesky, cos, cosh, det, digamma, erf, erfc, exp, expm1, inv, lgamma, log, log1p, logdet, logsoftmax, logsumexp, max, mean, min, polygamma, prod, relu, sigmoid, sign, sin, sinh, softmax, softplus, solve, sqrt, step, sum, tan, tanh, tr, tril, where
  an entry is written x[i], a product with *

>>> parse('x : (n); x(3)')
NotationError: x is a tensor, not a function
    x : (n); x(3)
    ^        ^
  a tensor with 1 axis (declared)
  a product is written with *; its entries are x[i]

>>> parse('exp[i]')
NotationError: exp is a function and stands without an argument
    exp[i]
    ^^^^^^
  write exp(...), or give the tensor another name

>>> parse('sum[i]*x[i]')
NotationError: sum is a function and stands without an argument
    sum[i]*x[i]
    ^^^^^^
  write sum[i](...), or give the tensor another name

>>> parse('exp : (n); exp[i]')
NotationError: exp is the name of a function
    exp : (n); exp[i]
    ^^^
  a tensor with axes cannot have that name, a scalar can
  choose another name, for example exp_

>>> parse('delta[i] = x[i]; delta[i]')
NotationError: delta is the name of a special tensor
    delta[i] = x[i]; delta[i]
    ^^^^^^^^
  a tensor with axes cannot have that name, a scalar can
  choose another name, for example delta_

>>> parse('x', shapes={'exp': (3,)})
NotationError: exp is the name of a function
  a tensor with axes cannot have that name, a scalar can
  choose another name, for example exp_

>>> parse('exp(a, b)')
NotationError: exp takes 1 argument, 2 given
    exp(a, b)
    ^^^^^^^^^
  write exp(x)

>>> parse('where(a < b, c)')
NotationError: where takes 3 arguments, 2 given
    where(a < b, c)
    ^^^^^^^^^^^^^^^
  write where(c, a, b)

>>> parse('max(a)')
NotationError: max takes 2 arguments, 1 given
    max(a)
    ^^^^^^
  write max(a, b), or max[i](...) over an index

>>> parse('exp[i](x[i])')
NotationError: exp works entry by entry and takes no indices
    exp[i](x[i])
        ^
  its result has the indices that are free in its argument
  write exp(x[i])

>>> parse('exp(x)[i]')
NotationError: the result of exp is not indexed
    exp(x)[i]
           ^
  its axes are the indices that are free in its argument
  only matrix functions take indices behind them: inv(A)[i,j]

>>> parse('sum(x)')
NotationError: sum needs the indices it runs over
    sum(x)
    ^^^
  its argument has no indices
  write sum[i](x[i])

>>> parse('sum(A[i,j])')
NotationError: sum needs the indices it runs over
    sum(A[i,j])
    ^^^
  its argument has the indices i,j
  write sum[i,j](A[i,j])

>>> parse('softmax(x[i])')
NotationError: softmax needs the indices it runs over
    softmax(x[i])
    ^^^^^^^
  its argument has the indices i
  write softmax[i](x[i])

>>> parse('sum[i](x[i], y[i])')
NotationError: sum over an index takes 1 argument, 2 given
    sum[i](x[i], y[i])
           ^^^^  ^^^^
  write sum[i](...) around each of them

>>> parse('sum[i,i](x[i])')
NotationError: index i stands twice in the brackets of sum
    sum[i,i](x[i])
          ^
  each index there is one that the function runs over
  write sum[i](...)

>>> parse('sum[k](x[i])')
NotationError: index k of sum does not occur free in its argument
    sum[k](x[i])
        ^  ^^^^
  free there: i
  drop it, or repeat the argument: ones[k]*(...)

>>> parse('sum[k](c)')
NotationError: index k of sum does not occur free in its argument
    sum[k](c)
        ^  ^
  free there: none
  drop it, or repeat the argument: ones[k]*(...)

>>> parse('softmax[k](x[i])')
NotationError: index k of softmax does not occur free in its argument
    softmax[k](x[i])
            ^  ^^^^
  free there: i
  drop it, or repeat the argument: ones[k]*(...)

>>> parse('delta[i]')
NotationError: delta takes 2 indices, 1 given
    delta[i]
    ^^^^^^^^
  write delta[i,j]

>>> parse('size[i,j]')
NotationError: size takes 1 index, 2 given
    size[i,j]
    ^^^^^^^^^
  write size[i]

# extents

>>> parse('X : (n, d)\nw : (m)\nX[i,j]*w[j]')
DimensionError: index j has two extents
    1: X : (n, d)
       ^
    2: w : (m)
       ^
    3: X[i,j]*w[j]
                ^
  axis 2 of X is d (declared), axis 1 of w is m (declared)
  rename one of the indices, or declare both axes with the same extent

>>> parse('x[i]*w[i]', shapes={'x': (3,), 'w': (4,)})
DimensionError: index i has two extents
    x[i]*w[i]
      ^    ^
  axis 1 of x is 3 (given in shapes=), axis 1 of w is 4 (given in shapes=)
  rename one of the indices, or declare both axes with the same extent

>>> parse('x[i]*w[i]', shapes={'x': ('n',), 'w': ('m',)})
DimensionError: index i has two extents
    x[i]*w[i]
      ^    ^
  axis 1 of x is n (given in shapes=), axis 1 of w is m (given in shapes=)
  rename one of the indices, or declare both axes with the same extent

>>> parse('X : (2, 3)\na[i] = X[i,j]*u[j]\nX[j,i]*a[i]*v[j]')
DimensionError: index i has two extents
    1: X : (2, 3)
       ^
    3: X[j,i]*a[i]*v[j]
                ^
  axis 1 of X is 2 (declared), axis 2 of X is 3 (declared)
  rename one of the indices, or declare both axes with the same extent

>>> parse('A : (2, 3); A[i,i]')
DimensionError: index i has two extents
    A : (2, 3); A[i,i]
    ^               ^
  axis 1 of A is 2 (declared), axis 2 of A is 3 (declared)
  rename one of the indices, or declare both axes with the same extent

>>> parse('A : (3, 4); tr(A)')
DimensionError: the matrix A of tr has two extents
    A : (3, 4); tr(A)
    ^              ^
  axis 1 of A is 3 (declared), axis 2 of A is 4 (declared)
  rename one of the indices, or declare both axes with the same extent

>>> parse('x[i:3]*y[i:4]')
DimensionError: index i has two extents
    x[i:3]*y[i:4]
      ^^^    ^^^
  i has extent 3 (written there), i has extent 4 (written there)
  rename one of the indices, or declare both axes with the same extent

>>> parse('eps[i,j,k]*x[i:2]')
DimensionError: index i has two extents
    eps[i,j,k]*x[i:2]
        ^        ^^^
  eps with 3 indices has extents 3, i has extent 2 (written there)
  rename one of the indices, or declare both axes with the same extent

>>> parse('x : (3); x[i]', shapes={'x': (4,)})
DimensionError: axis 1 of x has two extents
    x : (3); x[i]
    ^
  axis 1 of x is 4 (given in shapes=), axis 1 of x is 3 (declared)
  rename one of the indices, or declare both axes with the same extent

>>> parse('x : (n); x : (m); x[i]')
NotationError: x is declared twice
    x : (n); x : (m); x[i]
    ^        ^
  (n) there, (m) here
  keep one of the declarations

>>> parse('x : (n); n[i]*x[i]')
NotationError: n is both a tensor and an extent
    x : (n); n[i]*x[i]
    ^        ^^^^
  n is a tensor (n[i]), axis 1 of x is n (declared)
  rename one of them

>>> parse('x[i:n]*n[i]')
NotationError: n is both a tensor and an extent
    x[i:n]*n[i]
      ^^^  ^^^^
  n is a tensor (n[i]), index i has extent n (written there)
  rename one of them

>>> parse('x : (n); x[i]*det(n)')
NotationError: n is an extent, not a tensor
    x : (n); x[i]*det(n)
                      ^
  axis 1 of x is n (declared)
  rename one of them

>>> parse('x[i]', shapes={'x': (-1,)})
DimensionError: -1 is no extent of x
  an extent is a name or a number, 0 or more
  write shapes={'x': ('n', 3)}

>>> parse('x[i]', shapes={'x': 3})
DimensionError: 3 is no shape of x
  a shape is a tuple of extents, one for each axis
  write shapes={'x': (3,)}

>>> parse('x[i]', shapes=[3])
NotationError: shapes= cannot be read: [3] is no dict
  it is a dict whose keys are names of tensors
  write shapes={'X': ('n', 3)}

>>> parse('x[i]', shapes={3: ('n',)})
NotationError: shapes= cannot be read: 3 is no name
  it is a dict whose keys are names of tensors
  write shapes={'X': ('n', 3)}

# ranks

>>> parse('A[i,j]*A[i]')
DimensionError: A has two ranks
    A[i,j]*A[i]
    ^^^^^^ ^^^^
  2 axes (A[i,j]), 1 axis (A[i])
  give one of them another name, or the same number of indices

>>> parse('A : (n); A[i,j]*x[i]')
DimensionError: A has two ranks
    A : (n); A[i,j]*x[i]
    ^        ^^^^^^
  1 axis (declared), 2 axes (A[i,j])
  give one of them another name, or the same number of indices

>>> parse('r[a] = X[a,b]*t[b]\nr[a,b]*r[a,b]')
DimensionError: r has two ranks
    1: r[a] = X[a,b]*t[b]
       ^^^^
    2: r[a,b]*r[a,b]
       ^^^^^^
  1 axis (defined), 2 axes (r[a,b])
  give one of them another name, or the same number of indices

>>> parse('X[i,j]*w[j]', shapes={'X': ('n',)})
DimensionError: X has two ranks
    X[i,j]*w[j]
    ^^^^^^
  1 axis (given in shapes=), 2 axes (X[i,j])
  give one of them another name, or the same number of indices

>>> parse('A*A[i,j]')
NotationError: A has 2 axes and stands without indices
    A*A[i,j]
    ^ ^^^^^^
  2 axes (A[i,j]), no index here
  write A[i,j]

>>> parse('x[i] + x')
NotationError: x has 1 axis and stands without indices
    x[i] + x
    ^^^^   ^
  1 axis (x[i]), no index here
  write x[i]

>>> parse('r[i] = x[i]*2\nr')
NotationError: r has 1 axis and stands without indices
    1: r[i] = x[i]*2
       ^^^^
    2: r
       ^
  1 axis (defined), no index here
  write r[i]

# convention

>>> parse('X[i,k]*(a[i]*b[i] + c)')
NotationError: index i is summed inside and free outside
    X[i,k]*(a[i]*b[i] + c)
      ^     ^^^^^^^^^
  a[i]*b[i] sums over i by the convention, and the product around it has i free
  write sum[i](a[i]*b[i]) if the sum is meant there, sum[i](...) around the whole product if it is meant there, or rename one of the indices

>>> parse('L = x[i]')
NotationError: index i is free on the right but missing on the left
    L = x[i]
    ^     ^
  the expression has the free index i
  sum it: L = sum[i](x[i]), or name it: L[i] = x[i]

>>> parse('L = x[i]*y[j]')
NotationError: indices i, j are free on the right but missing on the left
    L = x[i]*y[j]
    ^     ^    ^
  the expression has the free indices i, j
  sum them: L = sum[i,j](x[i]*y[j]), or name them: L[i,j] = x[i]*y[j]

>>> parse('y[i] = A[i,j]*x[k]')
NotationError: indices j, k are free on the right but missing on the left
    y[i] = A[i,j]*x[k]
    ^^^^       ^    ^
  the expression has the free indices i, j, k
  sum them: y[i] = sum[j,k](A[i,j]*x[k]), or name them: y[i,j,k] = A[i,j]*x[k]

>>> parse('y[i,j] = x[i]')
NotationError: index j stands on the left but is not free on the right
    y[i,j] = x[i]
        ^
  the expression has the free index i
  repeat it along j: y[i,j] = (x[i])*ones[j], or drop the index

>>> parse('y[i] = c')
NotationError: index i stands on the left but is not free on the right
    y[i] = c
      ^
  the expression has no free index
  repeat it along i: y[i] = (c)*ones[i], or drop the index

>>> parse('y[i,i] = x[i]')
NotationError: index i stands twice on the left-hand side
    y[i,i] = x[i]
      ^ ^
  there each index names an axis of its own
  a diagonal is written with delta: y[i,j] = delta[i,j]*...

>>> parse('x[i] + y[j]')
NotationError: two terms with different indices: x[i] lacks j
    x[i] + y[j]
    ^^^^   ^^^^
  x[i] has the free index i, y[j] has the free index j
  name all on the left, as in Y[i,j] = ..., or repeat the term: x[i]*ones[j]

>>> parse('x[i,j] + y[i]')
NotationError: two terms with different indices: y[i] lacks j
    x[i,j] + y[i]
    ^^^^^^   ^^^^
  y[i] has the free index i, x[i,j] has the free indices i, j
  name all on the left, as in Y[i,j] = ..., or repeat the term: y[i]*ones[j]

>>> parse('max(x[i], y[j])')
NotationError: two terms with different indices: x[i] lacks j
    max(x[i], y[j])
        ^^^^  ^^^^
  x[i] has the free index i, y[j] has the free index j
  name all on the left, as in Y[i,j] = ..., or repeat the term: x[i]*ones[j]

# definitions

>>> parse('s = r[a]*r[a]\nr[a] = x[a]')
NotationError: r is used before it is defined
    1: s = r[a]*r[a]
           ^^^^
    2: r[a] = x[a]
       ^^^^
  a definition is known to the statements after it
  move its definition up, or give one of them another name

>>> parse('r[a] = r[a]*x[a]')
NotationError: r is used in its own definition
    r[a] = r[a]*x[a]
    ^^^^   ^^^^
  a definition is known to the statements after it
  give one of them another name

>>> parse('r = a\nr = b\nr')
NotationError: r is defined twice
    1: r = a
       ^
    2: r = b
       ^
  defined there, defined here; a name stands for one tensor
  give one of them another name

>>> parse('x : (n)\nx[i] = y[i]')
NotationError: x is both declared and defined
    1: x : (n)
       ^
    2: x[i] = y[i]
       ^^^^
  declared there, defined here; a name stands for one tensor
  give one of them another name

>>> parse('a*b\nc = 3')
NotationError: an expression without a name stands before other statements
    1: a*b
       ^^^
  its value would be lost: only the last statement may have no name
  name it, as in r[a] = ..., or move it to the end

>>> parse('X : (n, d)')
NotationError: there is no expression
    X : (n, d)
    ^^^^^^^^^^
  the text only declares tensors
  write one, for example x[i]*Q[i,j]*x[j]

# assumptions

>>> parse('Q : (n, n) symetric; tr(Q)')
NotationError: unknown assumption symetric
    Q : (n, n) symetric; tr(Q)
               ^^^^^^^^
  known are symmetric, spd, positive, nonnegative
  did you mean symmetric?

>>> parse('Q : (n, n) blue; tr(Q)')
NotationError: unknown assumption blue
    Q : (n, n) blue; tr(Q)
               ^^^^
  known are symmetric, spd, positive, nonnegative
  remove it

>>> parse('tr(Q)', assume={'Q': 'symetric'})
NotationError: unknown assumption symetric
  known are symmetric, spd, positive, nonnegative
  did you mean symmetric?

>>> parse('tr(Q)', assume={'Q': 3})
NotationError: unknown assumption 3
  known are symmetric, spd, positive, nonnegative
  remove it

>>> parse('tr(Q)', assume='symmetric')
NotationError: assume= cannot be read: 'symmetric' is no dict
  it is a dict whose keys are names of tensors
  write assume={'Q': 'symmetric'}

>>> parse('tr(Q)', assume={'R': 'symmetric'})
NotationError: R is assumed to be symmetric, but it is no tensor given here
  the program has Q
  declare it, or correct the name

>>> parse('r[i] = x[i]; r[i]', assume={'r': 'positive'})
NotationError: r is assumed to be positive, but it is no tensor given here
  r is defined by the program
  assume it of a tensor that is given

>>> parse('x : (n) symmetric; x[i]*x[i]')
DimensionError: x is assumed symmetric and has 1 axis
    x : (n) symmetric; x[i]*x[i]
    ^
  symmetric needs two axes or more, spd exactly two
  drop the assumption, or declare x : (n, n)

>>> parse('A : (n, n, n) spd; A[i,i,i]')
DimensionError: A is assumed spd and has 3 axes
    A : (n, n, n) spd; A[i,i,i]
    ^
  symmetric needs two axes or more, spd exactly two
  drop the assumption, or declare A : (n, n)

>>> parse('Q : (2, 3) symmetric; Q[i,j]*Q[i,j]')
DimensionError: Q, symmetric, has two extents
    Q : (2, 3) symmetric; Q[i,j]*Q[i,j]
    ^
  axis 1 of Q is 2 (declared), axis 2 of Q is 3 (declared)
  rename one of the indices, or declare both axes with the same extent

# matrix functions

>>> parse('det(2*A)')
NotationError: det takes a named tensor, not an expression
    det(2*A)
        ^^^
  whose rows and columns an expression has, only its indices can tell
  name its rows and columns: det[i,j](2*A)

>>> parse('inv(2*A)[i,j]')
NotationError: inv takes a named tensor, not an expression
    inv(2*A)[i,j]
        ^^^
  whose rows and columns an expression has, only its indices can tell
  name its rows and columns: inv[i,j](2*A)[p,q]

>>> parse('solve(2*A, b)[i]')
NotationError: solve takes a named tensor, not an expression
    solve(2*A, b)[i]
          ^^^
  whose rows and columns an expression has, only its indices can tell
  name its rows and columns: solve[i,j](2*A)[p]

>>> parse('inv(A)')
DimensionError: inv has 2 axes here, no index is given behind it
    inv(A)
    ^^^^^^
  write inv(A)[i,j]

>>> parse('inv(A)[i]')
DimensionError: inv has 2 axes here, 1 index is given behind it
    inv(A)[i]
    ^^^^^^^^^
  write inv(A)[i,j]

>>> parse('inv(A)[i,j,k]*A[i,j]')
DimensionError: inv has 2 axes here, 3 indices are given behind it
    inv(A)[i,j,k]*A[i,j]
    ^^^^^^^^^^^^^
  write inv(A)[i,j]

>>> parse('inv[i](A)')
NotationError: inv takes two indices, the rows' and the columns'
    inv[i](A)
        ^
  given: i
  write inv[i,j](...) with i the rows and j the columns of the argument

>>> parse('inv[i,i](A[i,i])')
NotationError: inv takes two indices, the rows' and the columns'
    inv[i,i](A[i,i])
        ^ ^
  given: i, i
  write inv[i,j](...) with i the rows and j the columns of the argument

>>> parse('inv[i,j](A)[p,q]')
NotationError: index i of inv does not occur free in its argument
    inv[i,j](A)[p,q]
        ^    ^
  free there: none
  write inv[i,j](...) with i the rows and j the columns of the argument

>>> parse('inv[i,j](A[i,j])')
NotationError: inv has 2 axes here, no index is given behind it
    inv[i,j](A[i,j])
    ^^^^^^^^^^^^^^^^
  write inv[i,j](...)[p,q]

>>> parse('det[i,j](A[i,j])[p]')
NotationError: det has no axis here, 1 index is given behind it
    det[i,j](A[i,j])[p]
    ^^^^^^^^^^^^^^^^^^^
  write det[i,j](...)

>>> parse('inv[i,j](A[i,k])[p,q]')
NotationError: index j of inv does not occur free in its argument
    inv[i,j](A[i,k])[p,q]
          ^  ^^^^^^
  free there: i, k
  write inv[i,j](...) with i the rows and j the columns of the argument

>>> parse('det(A, B)')
NotationError: det takes 1 argument, 2 given
    det(A, B)
    ^^^^^^^^^
  write det(A)

>>> parse('solve(A)[i]')
NotationError: solve takes 2 arguments, 1 given
    solve(A)[i]
    ^^^^^^^^^^^
  write solve(A, b)

>>> parse('A : (n); det(A)')
DimensionError: det takes a matrix, A has 1 axis
    A : (n); det(A)
    ^            ^
  1 axis (declared), 2 or more needed
  declare it: A : (n, n)

>>> parse('solve(A, B)[i,j]*B[i,j,k]')
DimensionError: solve takes a vector or columns, B has 3 axes
    solve(A, B)[i,j]*B[i,j,k]
             ^
  the matrix has 2 axes
  name the indices: solve[i,j](A[i,j], b[i,k])[p]

>>> parse('solve[i,j](A[i,j], b[k])[p]')
NotationError: the right-hand side of solve[i,j] must have the index i, not j
    solve[i,j](A[i,j], b[k])[p]
                       ^^^^
  free there: k
  write solve[i,j](A[i,j], b[i])[p]

# derivatives

>>> Ax.diff('x[i]')
DerivativeError: index i of x[i] is already in use
  the expression has the index i
  choose another letter, for example x[j]

>>> parse('f[d] = X[d,b]*th[b]').diff('th[d]')
DerivativeError: index d of th[d] is already in use
  the expression has the index d
  choose another letter, for example th[b]

>>> xAx.diff('A[k,k]')
DerivativeError: index k stands twice in A[k,k]
  each new axis of the derivative has a name of its own
  write A[i,j]

>>> xAx.diff('z')
DerivativeError: z does not occur in the expression
  it has x, A
  correct the name; a tensor that is only declared has the derivative 0

>>> xAx.diff('X')
DerivativeError: X does not occur in the expression
  it has x, A
  did you mean x?

>>> squares.diff('theta')
DerivativeError: theta does not occur in the expression
  it has X, th, Y
  did you mean th?

>>> parse('r[a] = 2*x[a]; r[a]*r[a]').grad('r')
DerivativeError: r is a definition of the program, not a tensor given to it
  it has x
  differentiate by one of these, or leave the definition out

>>> Ax.grad('x')
DerivativeError: the gradient of an expression with 1 axis
  a gradient belongs to a scalar, the axes here are i
  use e.jacobian('x'), or sum the expression: sum[i](...)

>>> Ax.hessian('x')
DerivativeError: the Hessian of an expression with 1 axis
  a Hessian belongs to a scalar, the axes here are i
  use e.diff('x', 'x'), or sum the expression: sum[i](...)

>>> Ax.hvp('x', 'v')
DerivativeError: the gradient of an expression with 1 axis
  a gradient belongs to a scalar, the axes here are i
  use e.jacobian('x'), or sum the expression: sum[i](...)

>>> xAx.diff('A[k]')
DimensionError: A has 2 axes, A[k] names 1 index
  write A[i,j]

>>> xAx.diff('x[k,l]')
DimensionError: x has 1 axis, x[k,l] names 2 indices
  write x[i]

>>> parse('c*x[i]*x[i]').diff('c[i]')
DimensionError: c has no axis, c[i] names 1 index
  write c

>>> xAx.diff('A[1]')
DerivativeError: 'A[1]' does not name indices
  one name for each axis is wanted, in brackets and separated by commas
  write A[i,j]

>>> xAx.diff()
DerivativeError: no variable to differentiate by
  the expression has x, A
  name one: e.diff('x')

>>> xAx.diff(3)
DerivativeError: 3 names no variable
  a variable is given by its name, a text
  pass it as in e.diff('x') or e.diff('x[i]')

>>> xAx.hessian(3)
DerivativeError: 3 names no variable
  a variable is given by its name, a text
  pass it as in e.diff('x') or e.diff('x[i]')

>>> Ax.diff('x', order=-1)
DerivativeError: the order -1 is no whole number of 0 or more
  the order says how often the derivative is taken
  write for example order=2

>>> xAx.taylor('x', at='x0', order='2')
DerivativeError: the order '2' is no whole number of 0 or more
  the order says how often the derivative is taken
  write for example order=2

>>> Ax.diff('x', layout='columns')
DerivativeError: unknown layout 'columns'
  known are 'numerator' (the expression's axes first) and 'denominator' (last)
  leave it out for 'numerator'

>>> parse('polygamma(n, x)').diff('n')
DerivativeError: polygamma has no derivative by its argument n
  polygamma(n, x) is differentiable by x
  keep the variable out of that argument

>>> xAx.jvp({'x': 'A'})
DimensionError: A has axes (i, i) already
  axes (i) are needed
  choose a name that the expression does not use

>>> xAx.jvp({'x': '2v'})
NotationError: '2v' is no name
  a name is a letter or _, then letters, digits and _
  pass a name for the new tensor, for example 'v'

>>> xAx.jvp('x')
DerivativeError: 'x' gives no directions
  each variable that moves is given with the name of its direction
  pass a dict: e.jvp({'x': 'v'})

>>> xAx.substitute(x='3')
DimensionError: x has 1 axis, its replacement has no axis
  write x with 1 axis free

>>> xAx.substitute(x=3)
NotationError: the replacement of x is no expression
  it is of type int
  pass a text or an Expression

>>> ed.grad('x[i]', 'x')(x=x)
DerivativeError: the gradient of an expression with 1 axis
  a gradient belongs to a scalar, the axes here are i
  use e.jacobian('x'), or sum the expression: sum[i](...)

# arrays

>>> xAx(x=A, A=A)
DimensionError: x has 1 axis, the array has 2
  axes of x: (i), shape of the array: (3, 3)
  reshape the array, or index x with 2 axes

>>> xAx(x=3.0, A=A)
DimensionError: x has 1 axis, the array has 0
  axes of x: (i), shape of the array: ()
  reshape the array, or index x with no axis

>>> Ax(A=A, x=[1, 2])
DimensionError: extent j has two values, 3 and 2
  axis 2 of A is 3 (given array), axis 1 of x is 2 (given array)
  pass arrays whose shapes agree, or give the axes different indices

>>> xAx(A=[[1, 2], [3, 4], [5, 6]], x=x)
DimensionError: extent i has two values, 3 and 2
  axis 1 of A is 3 (given array), axis 2 of A is 2 (given array)
  pass arrays whose shapes agree, or give the axes different indices

>>> parse('x : (4); x[i]*x[i]')(x=x)
DimensionError: axis 1 of x has two values, 4 and 3
  axis 1 of x is 4 (declared), axis 1 of x is 3 (given array)
  pass an array of the declared shape, or declare x otherwise

>>> xAx({'A': A, 'x': x}, sizes={'i': 5})
DimensionError: extent i has two values, 5 and 3
  i is 5 (given in sizes=), axis 1 of A is 3 (given array)
  pass arrays whose shapes agree, or give the axes different indices

>>> xAx({'A': A, 'x': x}, sizes={'i': -1})
DimensionError: the extent i is given as -1
  extents are whole numbers, 0 or more, given by name
  pass for example {'i': 5}

>>> xAx({'A': A, 'x': x}, sizes=5)
DataError: sizes= of type int cannot be assigned to names
  they are given by name
  pass e(sizes={'n': 5}), or a dict

>>> xx(x=np.array([1, None, 2]))
DataError: x has dtype object
  floating, complex, integer and boolean dtypes can be computed with
  convert it: numpy.asarray(x, dtype=float)

>>> xx(x=['a', 'b'])
DataError: x has dtype <U1
  floating, complex, integer and boolean dtypes can be computed with
  convert it: numpy.asarray(x, dtype=float)

>>> xx(x=np.array(['2020-01-01'], 'datetime64[D]'))
DataError: x has dtype datetime64[D]
  floating, complex, integer and boolean dtypes can be computed with
  convert it: numpy.asarray(x, dtype=float)

>>> xx(x=None)
DataError: x is no array
  it is of type NoneType
  pass an array or a list of numbers

>>> xx(x={1: 2})
DataError: x is no array
  it is of type dict
  pass an array or a list of numbers

>>> xx(x=np.ma.array(x, mask=[0, 1, 0]))
DataError: x is a masked array
  entries under a mask have no value to compute with
  fill it first: x.filled(0)

>>> xAx(A=A.view(np.matrix), x=x)
DataError: A is a numpy.matrix
  its * and shapes differ from those of arrays
  pass numpy.asarray(A)

>>> xAx(A=scipy.sparse.csr_array(A), x=x)
DataError: A is a sparse matrix
  only dense arrays can be computed with
  pass the dense array: A.toarray()

>>> xx(x=[1, [2, 3]])
DataError: x is no array
  its rows differ in length or in depth
  pass a rectangular array of numbers

>>> parse('abs(z[i])')(z=[1j])
DataError: abs is not holomorphic and takes no complex arrays
  z is complex
  pass real arrays, or write real and imaginary parts as two tensors

>>> parse('where(a < b, a, b)')(a=1j, b=2)
DataError: the comparison < is not holomorphic and takes no complex arrays
  a is complex
  pass real arrays, or write real and imaginary parts as two tensors

>>> xAx(x=x)
DataError: no array for A
  A has axes (i, i)
  pass A=...

>>> xAx()
DataError: no array for A, x
  A has axes (i, i)
  x has axes (i)
  pass A=..., x=...

>>> xAx(xs=x, A=A)
DataError: xs: no such tensor
  the expression has x, A
  did you mean x?

>>> xAx(x=x, A=A, B=A)
DataError: B: no such tensor
  the expression has x, A
  drop it, or correct the name

>>> xAx(x)
DataError: arrays of type ndarray cannot be assigned to names
  they are given by name
  pass e(x=[1.0, 2.0]), or a dict

>>> parse('D[i,j] = delta[i,j]')()
DimensionError: no given array tells the extent i
  pass sizes={'i': ...}, or the array of a tensor that has this axis

>>> xx.hessian('x')()
DimensionError: no given array tells the extent i
  pass sizes={'i': ...}, or the array of a tensor that has this axis

>>> squares.hessian('th')(X=A, Y=[1, 2])
DimensionError: extent a has two values, 3 and 2
  axis 1 of X is 3 (given array), axis 1 of Y is 2 (given array)
  pass arrays whose shapes agree, or give the axes different indices

>>> squares.hessian('th')(X=A, Y=A)
DimensionError: Y has 1 axis, the array has 2
  axes of Y: (a), shape of the array: (3, 3)
  reshape the array, or index Y with 2 axes

>>> squares.hessian('th')(X=A, Y='abc')
DataError: Y is no array
  it is of type str
  pass an array or a list of numbers

>>> parse('inv(A)[i,j]')(A=[[1, 1], [1, 1]])
DataError: a matrix to be inverted is singular
  inv, solve and the derivatives of det and logdet need a regular matrix
  check the matrix, or add a multiple of the identity

>>> parse('cholesky(A)[i,j]')(A=[[1, 2], [2, 1]])
DataError: a matrix given to cholesky is not positive definite
  cholesky(A) exists where A is symmetric with positive eigenvalues
  check the matrix, or add a multiple of the identity

>>> parse('inv(A)[i,j]')(A=[[1, 2, 3]])
DimensionError: extent i has two values, 1 and 3
  axis 1 of A is 1 (given array), axis 2 of A is 3 (given array)
  pass arrays whose shapes agree, or give the axes different indices

>>> parse('max[i](x[i])')(x=[])
DataError: the arrays have no value under the program
  i is 0
  a maximum, minimum or softmax over an axis of extent 0 has no value

>>> parse('softmax[i](x[i])')(x=[])
DataError: the arrays have no value under the program
  i is 0
  a maximum, minimum or softmax over an axis of extent 0 has no value

# programs

>>> ed.compile(outer, memory_limit='lots')
ResourceLimitError: 'lots' is no amount of memory
  it is a whole number of bytes, or a number and one of B, KiB, MiB, GiB, kB, MB, GB
  write for example memory_limit='1GiB'

>>> ed.compile(outer, memory_limit=-5)
ResourceLimitError: -5 is no amount of memory
  it is a whole number of bytes, or a number and one of B, KiB, MiB, GiB, kB, MB, GB
  write for example memory_limit='1GiB'

>>> ed.compile(outer, memory_limit='infB')
ResourceLimitError: 'infB' is no amount of memory
  it is a whole number of bytes, or a number and one of B, KiB, MiB, GiB, kB, MB, GB
  write for example memory_limit='1GiB'

>>> ed.compile(outer, backend='tensor')
BackendError: no backend 'tensor'
  available: numpy
  use backend='numpy'

>>> ed.compile(outer, dtype='int32')
DataError: dtype int32 cannot be computed in
  floating and complex dtypes can
  choose float32, float64 or complex128

>>> ed.compile(outer, dtype='foo')
DataError: dtype foo cannot be computed in
  floating and complex dtypes can
  choose float32, float64 or complex128

>>> ed.compile(outer, dtype='float32')(x=[1j])
DataError: complex arrays cannot be computed in float32
  the arrays together have dtype complex128, the program was compiled for float32
  choose complex64 or complex128

>>> ed.compile(outer).cost()
DimensionError: no value for the extent i
  given: none
  pass cost(i=...)

>>> ed.compile(outer).cost(i=-1)
DimensionError: the extent i is given as -1
  extents are whole numbers, 0 or more, given by name
  pass for example {'i': 5}

>>> parse('x', notation='matriks')
NotationError: unknown notation 'matriks'
  known are index, einsum, matrix, latex
  leave it out for index notation

>>> parse(3)
NotationError: the expression is no text
  it is of type int
  pass a string, for example 'A[i,j]*x[j]'

>>> parse('x', operands=['x'])
NotationError: operands= belongs to einsum strings
  index notation names its tensors
  drop it

>>> parse('')
NotationError: there is no expression
  the text is empty
  write one, for example x[i]*Q[i,j]*x[j]
"""


def cases() -> list[tuple[str, str, str]]:
    """Each case: the expression, the class of its error, the text of its error."""
    blocks = [block for block in re.split(r"\n\n(?=>>> |# )", CASES.strip()) if block[0] == ">"]
    found = []
    for block in blocks:
        call, _, printed = block.removeprefix(">>> ").partition("\n")
        kind, _, text = printed.partition(": ")
        found.append((call, kind, text))
    return found


@pytest.mark.parametrize(("call", "kind", "text"), cases(), ids=lambda text: text[:60])
def test_mistake_is_told_with_its_place_the_facts_and_a_way_out(
    call: str, kind: str, text: str
) -> None:
    with pytest.raises(ed.EinderivError) as caught:
        eval(call, dict(NAMES))
    error = caught.value
    assert str(error) == text
    assert type(error) is getattr(errors, kind)
    assert isinstance(error, BUILTINS[kind])
    assert error.hint


def test_every_case_stands_once() -> None:
    calls = [call for call, _, _ in cases()]
    assert len(calls) == CASES.count(">>> ") == len(set(calls))


def test_memory_limit_is_checked_before_anything_is_allocated() -> None:
    """The result would have 8 * 10^16 bytes: allocating it would raise another message."""
    program = ed.compile(ed.parse("C[i,j] = x[i]*x[j]"), memory_limit="1GiB")
    x = np.broadcast_to(np.float64(1), (10**8,))
    needed = program.cost(i=10**8).peak_memory
    assert needed >= 8 * 10**16
    with pytest.raises(MemoryError) as caught:
        program(x=x)
    assert isinstance(caught.value, ed.EinderivError)
    assert str(caught.value) == (
        f"the program needs {needed:,} bytes, the limit is 1,073,741,824\n"
        "  raise memory_limit, or ask for a product with a vector (hvp) instead of a Hessian"
    )


# ---------------------------------------------------------------- what must not fail

SQUARES = ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])")


def test_arrays_that_a_derivative_no_longer_contains_are_accepted() -> None:
    hessian = SQUARES.hessian("th")
    X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    for more in ({}, {"Y": np.ones(3)}, {"Y": np.ones(3), "th": np.ones(2)}):
        assert np.array_equal(hessian(X=X, **more), 2 * X.T @ X)


def test_arrays_that_a_derivative_no_longer_contains_supply_extents() -> None:
    identity = ed.parse("x[i]*x[i]").hessian("x")
    assert np.array_equal(identity(x=np.zeros(3)), 2 * np.eye(3))
    assert np.array_equal(identity(sizes={"i": 3}), 2 * np.eye(3))


def test_declared_tensor_that_does_not_occur_has_the_derivative_zero() -> None:
    assert np.array_equal(ed.parse("z : (3); x[i]*x[i]").grad("z")(x=[1.0]), np.zeros(3))


def test_special_tensor_is_a_scalar_where_it_stands_without_indices() -> None:
    e = ed.parse("y[i] = ones*ones[i] + x[i]")
    assert list(e.variables) == ["ones", "x"]
    assert np.array_equal(e(ones=2.0, x=[1.0, 3.0]), [3.0, 5.0])


# ---------------------------------------------------------------- mutations

TEXTS = [
    "X : (n, d)\nQ : (d, d) symmetric\nr[a] = X[a,b]*th[b] - Y[a]\nJ = r[a]*r[a]/n + th[b]*Q[b,c]*th[c]",
    "(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/size[a]",
    "y[i] = exp(A[i,j]*x[j])^2 - 1/2",
    "L = -sum[i](t[i]*logsoftmax[i](z[i]))",
    "inv[i,j](A[i,j] + delta[i,j])[p,q]*B[q,p]",
    "logdet(S) + tr(S)*det(S)",
    "solve(A,b)[i]*c[i]",
    "cholesky(S)[i,j]*inv(A)[j,i]",
    "where(a < b, x[i], max(y[i], 0))*mean[j](u[j])",
    "H[n,k] = tanh(X[n,j]*W[j,k] + b[k])",
    "eps[i,j,k]*u[j:3]*v[k]",
    "D[i:n,j] = delta[i,j]*x[i] + ones[i]*zeros[j:3]",
    "prod[i](x[i])*max[i](x[i]) + logsumexp[i,j](M[i,j])",
    "S : (3, 3) spd\nx[i]*S[i,j]*x[j] + atan2(p, q)^2",
    "f[i] = A[i,i]*x[i] # diagonal\nsqrt(f[i]*f[i]); ",
    "w : (m) positive\nerf(w[i])*lgamma(w[i]) + relu(x[i])*step(x[i])",
    "tril(A)[i,j]*abs(sign(x[i]) - softplus(y[j]))",
    "min[k](a[k] + 3*b[k]) / (c**2 + pi)",
    "solve[i,j](A[i,j], b[i])[p]*x[p]",
    *(random_program(seed).text for seed in range(300, 310)),
]
TOKEN = re.compile(r"[^\W\d]\w*|\d+(?:\.\d*)?(?:e-?\d+)?|\*\*|<=|>=|==|!=|\s|.", re.S)
WORDS = [
    *"i j k a b x y A S n c + - * / ^ ** ( ) [ ] , : ; = < <= == > 1 2 3 0 0.5 1e-3 # @ ' { _ θ".split(),
    *"exp log abs sign sum max mean min prod det inv solve tr cholesky tril logdet where delta".split(),
    *"eps ones zeros size softmax logsumexp pi symmetric spd positive polygamma digamma step pow".split(),
    *"[i] [i,j] (x) (A) A[i,j] x[i] () i:n i:2 erf atan2 eq prodexcept".split(),
    "\n",
    " ",
]


def mutated(rng: random.Random) -> str:
    """A valid text with one to four tokens inserted, deleted, exchanged, replaced or copied."""
    tokens = TOKEN.findall(rng.choice(TEXTS))
    for _ in range(rng.choice([1, 1, 2, 4])):
        i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        kind = rng.choice(
            ["insert", "delete", "swap", "replace", "copy", "rename", "rename", "rename"]
        )
        if kind == "insert":
            tokens.insert(i, rng.choice(WORDS))
        elif kind == "delete" and len(tokens) > 1:
            del tokens[i]
        elif kind == "swap":
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif kind == "replace":
            tokens[i] = rng.choice(WORDS)
        elif kind == "copy":
            tokens[i:i] = tokens[j : j + rng.randrange(1, 6)]
        elif kind == "rename":  # mostly still a program: a name becomes another name of the text
            names = [place for place, token in enumerate(tokens) if token[0].isalpha()]
            if names:
                tokens[rng.choice(names)] = tokens[rng.choice(names)]
    return "".join(tokens)


def attempt(action: Callable[[], Any], seen: list[str]) -> Any:
    """What an action gives; None where it is refused with a message."""
    try:
        return action()
    except ed.EinderivError as error:
        assert error.hint, str(error)
        seen.append(type(error).__name__)
        return None


def exercise(text: str, rng: random.Random) -> list[str]:
    """Parse, print, derive and evaluate a text; the names of the errors met."""
    seen: list[str] = []
    e = attempt(lambda: ed.parse(text), seen)
    if e is None:
        return seen
    seen.append("parsed")
    str(e), e.latex()
    numbers, extents = np.random.default_rng(rng.randrange(2**32)), {}
    arrays = {}
    for name, shape in e.variables.items():
        sizes = [
            dim if isinstance(dim, int) else extents.setdefault(dim, rng.choice([0, 1, 2, 3, 3]))
            for dim in shape
        ]
        if max(sizes, default=0) > 10 or len(sizes) > 5:
            return seen
        arrays[name] = numbers.normal(size=sizes)
    attempt(lambda: e(arrays), seen)
    attempt(lambda: e(arrays, sizes={dim: 2 for dim in e.shape if isinstance(dim, str)}), seen)
    if arrays:
        x = rng.choice(list(arrays))
        derivative = attempt(lambda: e.diff(x), seen)
        if derivative is not None:
            str(derivative)
            attempt(lambda: derivative(arrays), seen)
        attempt(lambda: e.grad(x), seen)
    return seen


@pytest.mark.parametrize("block", range(15))
def test_mutated_programs_raise_nothing_but_our_errors(block: int) -> None:
    """Fifteen times a hundred mutations; the text is printed where another exception leaves."""
    seen = []
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        text = mutated(rng)
        try:
            seen += exercise(text, rng)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} left\n{text}") from error
    assert {"NotationError", "parsed"} <= set(seen)
