"""Einsum strings that people write and libraries trip over, each with shapes of its operands.

Rows are string, then shapes as words of digits: "ij,jk->ik 23 34"; "-" is a scalar. Extents stay small, so
that Jacobians stay cheap. `AWKWARD` is the list of (string, shapes); every string is valid for numpy.einsum.
"""

from itertools import permutations

PLAIN = """
ij,jk->ik 23 34
ij,jk->ki 23 34
ij,j->i 23 3
i,ij->j 2 23
ij,kj->ik 23 43
ji,jk->ik 32 34
ji,kj->ik 32 43
i,i-> 3 3
i,j->ij 2 3
i,j->ji 2 3
ij,ij-> 23 23
ij,ji-> 23 32
ij,ij->ij 23 23
ij,ji->ij 23 32
ij,ij->ji 23 23
ij,ij->i 23 23
ij,ij->j 23 23
ij,i->ij 23 2
ij,j->ij 23 3
ij,i->j 23 2
ijk,k->ij 234 4
ijk,kl->ijl 234 42
ijk,jil->kl 234 322
ijk,ikj->i 234 243
ijk,ijk->k 234 234
bij,bjk->bik 223 232
bij,bkj->bik 223 243
bij,bj->bi 223 23
bij,jk->bik 223 32
bhqd,bhkd->bhqk 1223 1243
bhqk,bhkd->bhqd 1224 1243
ab,cd->abcd 12 23
ab,cd->adcb 12 23
abcd,ab->cd 2132 21
abcd,dc->ab 2132 23
i,j,k->ijk 2 3 2
i,j,k->kij 2 3 2
i,ij,j-> 2 23 3
i,ij,j->ij 2 23 3
ij,jk,kl->il 23 32 24
ij,jk,ki-> 23 34 42
ij,jk,kl,lm->im 22 23 32 24
ij,kj,kl,ml->im 22 32 34 24
ij,ik,il->jkl 22 23 22
ir,jr,kr->ijk 22 32 22
ijk,ir,jr,kr->r 223 22 22 32
ijk,ia,jb,kc->abc 223 21 22 32
ik,jk,i->j 23 43 2
i,i,i->i 3 3 3
i,i,i-> 3 3 3
ij,ij,ij->i 23 23 23
i,j,ij,k,jk->i 2 3 23 2 32
"""

TRANSPOSES = """
i->i 3
ij->ij 23
ij->ji 23
abc->cba 234
abc->bca 234
abcd->dacb 2123
ba 23
cba 234
BaA 234
zyx->xzy 234
abcde->ecadb 21213
"""

DIAGONALS = """
ii-> 33
ii->i 33
ii 33
iii-> 222
iii->i 222
iiii->i 2222
iij-> 223
iij->i 223
iij->j 223
iij->ij 223
iij->ji 223
iji-> 232
iji->i 232
iji->j 232
iji->ji 232
jii->ij 322
ijij-> 2323
ijij->ij 2323
ijij->ji 2323
ijij->i 2323
ijji-> 2332
ijji->ij 2332
iijj->ij 2233
iijj->j 2233
iijj-> 2233
iij,j->i 223 3
iij,j->j 223 3
iij,j-> 223 3
iij,j->ij 223 3
ii,i->i 33 3
ii,i-> 33 3
ii,ii-> 33 33
ii,ii->i 33 33
ii,jj-> 33 22
ii,jj->ij 33 22
ii,ij->j 33 32
ii,ij->ij 33 32
ii,jk->jk 33 23
ii,j->j 33 2
ij,jj->i 23 33
ij,jj,jk->ik 23 33 32
ii,ij,jj->ij 22 23 33
iij,jkk->ik 223 322
iij,jkk-> 223 322
iij,iij->j 223 223
iik,jjk->ijk 222 332
iji,jkj->ik 232 323
ij,ij,ii->j 23 23 22
i,ii,i-> 3 33 3
iii,i->i 222 2
ijk,iik->j 223 223
"""

LONE = """
i-> 3
ij-> 23
ij->i 23
ij->j 23
ijk->i 234
ijk->j 234
ijk->ki 234
ijk-> 234
i,j-> 2 3
i,j->i 2 3
i,j->j 2 3
ij,k-> 23 4
ij,k->i 23 4
ij,k->k 23 4
ij,k->ji 23 4
ij,kl->ik 23 42
ij,kl->lj 23 42
ij,kl-> 23 42
ij,jk-> 23 34
ij,jk->i 23 34
ij,jk->j 23 34
ij,jk->k 23 34
ij,jk->ijk 23 34
ij,jk->kji 23 34
ijk,jl->i 234 32
ijk,jl->l 234 32
ijk,l->jl 234 2
ij,jk,l->ik 23 34 2
i,j,k-> 2 3 4
i,j,k->j 2 3 4
ij,k,l->jl 23 2 4
ijkl->jk 2123
ii,j->i 33 2
ii,j-> 33 2
iij,k->ik 223 2
iij,jk->i 223 32
ijj->i 233
ijj,k->k 233 2
"""

SCALARS = """
-> -
, - -
,-> - -
,,-> - - -
,i->i - 3
,i-> - 3
i,->i 3 -
i,-> 3 -
i,,j->ij 2 - 3
,ij->ij - 23
,ij->ji - 23
,ii-> - 33
,ii->i - 33
ij,,jk->ik 23 - 34
,i - 3
i, 3 -
,,ij->j - - 23
,ij,j,->i - 23 3 -
"""

IMPLICIT = """
i 3
ij 23
ji 23
ij,jk 23 34
ij,kj 23 43
ji,jk 32 34
kj,ji 23 32
ba,ac 23 34
ba,cb 23 42
i,i 3 3
i,j 2 3
j,i 2 3
ij,ij 23 23
ij,ji 23 32
iij 223
iji 232
iijj 2233
bca,ad 232 23
zb,ba,ax 22 23 32
ij,j 23 3
i,ij 2 23
j,ij 3 23
ab,ab,c 22 22 3
cb,a,ab 22 3 32
bij,bjk 223 232
iab,ibc 223 232
Ij,jA 23 32
aB,Bc 23 32
Zz,zA 23 32
bA,Ab,c 23 32 2
"""

BLANKS = """
i j , j k -> i k 23 34
 ij,jk->ik  23 34
ij , jk 23 34
i i -> i 33
  i->   3
, i j -> j i - 23
a  b,b   c->a c 23 34
I J,J K->I K 23 34
Ij,jI->Ij 23 32
aA,Aa->A 23 32
aA->Aa 23
aA->A 23
AbC,bD->DAC 232 32
XY,YZ,ZX-> 23 32 22
"""

ELLIPSES = """
... 23
...-> -
...->... 23
... , ... 23 23
...,...->... 23 23
...,...->... 3 23
...,...->... - 23
...i->... 234
...i->...i 234
...i->i... 234
i...->... 234
i...->...i 234
...ij->...ji 2234
...ij->...i 234
...ij->...j 34
...ij->... 234
i...j->j...i 2343
i...j->...ij 23
...ii->... 233
...ii->...i 233
...ii->i... 2233
i...i->... 232
i...i->i... 2332
ii...->... 223
ii...->...i 223
...ij,...jk->...ik 223 232
...ij,...jk->...ik 23 32
...ij,...jk->...ik 223 32
...ij,...jk->...ik 23 232
...ij,...jk->...ik 2123 32
...ij,...jk->...ik 123 232
...ij,...jk->...ik 223 132
...ij,...jk->...ik 2123 132
...ij,...jk 223 232
...ij,jk->...ik 223 32
ij,...jk->...ik 23 232
ij,...jk->i...k 23 2232
...i,...i->... 23 23
...i,...i->... 23 3
...i,...i->... 3 23
...i,...i->... 13 23
...i,...i->... 123 213
...i,...i 23 3
...i,i->... 23 3
i,...i->... 3 223
i...,i...->... 23 23
i...,i...->... 23 213
i...,i...->... 23 2
i...,...j->ij... 23 32
i...,j...->...ij 23 23
...i,...j->...ij 2 23
...,i->...i 23 2
...,i->i... 23 2
...,->... 23 -
,...->... - 23
...,...,...->... 23 3 -
...i,...j,...->ij... 23 3 21
...ij,...j,...i->... 223 3 22
b...ij,b...jk->b...ik 2223 2232
b...ij,bjk...->b...ik 2123 2321
...ab,ab...->... 223 232
...iij,j->...i 2223 3
...iij,...j->...j 1223 23
...i,ii->...i 23 33
h...d,...dh->h... 232 322
i...->i... 2
i... 23
...i 23
...ba 234
b...a 234
...i->i 3
ij->ij... 23
ij...,jk->ik 23 34
ij,jk->ik... 23 34
"""

REPEATED_ONES = """
ij,ij->ij 13 23
ij,ij->ij 21 23
ij,ij->ij 11 23
ij,ij->ij 21 13
ij,ij-> 13 23
ij,ij->i 13 23
ij,ij->j 13 23
ij,ij->i 21 23
ij,ij->j 21 23
ij,jk->ik 21 34
ij,jk->ik 23 14
ij,jk-> 21 34
ij,jk->k 23 14
i,i-> 1 3
i,i->i 1 3
i,i,i->i 1 3 1
i,i,i->i 1 3 3
i,ij->ij 1 23
i,ij->j 1 23
ij,j->i 21 3
ij,j->ij 21 3
ij,i,j->ij 11 2 3
ii,i->i 11 3
ii,i-> 11 3
ii,ij->j 11 32
iij,j->ij 221 3
iij,j->i 223 1
bij,bjk->bik 123 232
bij,bjk->bik 223 132
ij,jk,kl->il 21 33 14
ij,kj->ik 23 21
i,j->ij 1 3
i-> 1
ii-> 11
"""

EMPTY = """
ij,jk->ik 20 03
ij,jk->ik 03 32
ij,jk->ik 23 30
i-> 0
ii-> 00
ii->i 00
ij->i 02
ij->j 02
i,i-> 0 0
...i->... 20
i,j->ij 0 3
"""


def _rows(table):
    """(string, shapes) of every line; the string is all but the last words, one for each operand."""
    for line in table.strip("\n").splitlines():
        count = line.count(",") + 1
        string, *words = line.rsplit(" ", count)
        yield string, tuple(() if word == "-" else tuple(map(int, word)) for word in words)


def _all_outputs(inputs, shapes):
    """Every output that the labels of `inputs` allow, in every order."""
    labels = sorted(set(inputs) - {","})
    for count in range(len(labels) + 1):
        for chosen in permutations(labels, count):
            yield f"{inputs}->{''.join(chosen)}", shapes


TABLES = {
    "plain": PLAIN,
    "transposes": TRANSPOSES,
    "diagonals": DIAGONALS,
    "lone": LONE,
    "scalars": SCALARS,
    "implicit": IMPLICIT,
    "blanks": BLANKS,
    "ellipses": ELLIPSES,
    "repeated ones": REPEATED_ONES,
    "empty": EMPTY,
}
FAMILIES = {
    "products of two matrices": ("ij,jk", ((2, 3), (3, 2))),
    "a diagonal beside a vector": ("iij,j", ((2, 2, 3), (3,))),
    "entrywise and a vector": ("ij,ij,j", ((2, 3), (2, 3), (3,))),
    "two diagonals": ("ii,ij", ((2, 2), (2, 3))),
    "a closed part beside": ("ij,kk", ((2, 3), (2, 2))),
}

AWKWARD = list(
    dict.fromkeys(
        [
            *(row for table in TABLES.values() for row in _rows(table)),
            *(row for family in FAMILIES.values() for row in _all_outputs(*family)),
        ]
    )
)
