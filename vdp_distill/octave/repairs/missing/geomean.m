function m = geomean (x)
% GEOMEAN  Geometric mean of every column (of a row: of its elements).

  m = exp (mean (log (x)));
end
