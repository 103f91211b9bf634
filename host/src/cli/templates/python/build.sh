# Makes the component $1. With its calls of WASI stubbed it needs nothing of that, and loads with the grants of any plugin; what Python's
# `random` gives is then the same at every start, and `random` of the contract has what is not.
exec componentize-py -d wit -w {{role}}-plugin componentize --stub-wasi -o "$1" plugin
