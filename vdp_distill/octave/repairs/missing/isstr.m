function yes = isstr (x)
% ISSTR  Old name of ischar, which the pyramid tools use and Octave may drop.

  yes = ischar (x);
end
