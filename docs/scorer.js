// Who searches for a name wants its page: it stands before titles (15) and the entries of the index (100)
var Scorer = {
  objNameMatch: 200, objPartialMatch: 6, objPrio: {0: 0, 1: 5, 2: -5}, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
}
