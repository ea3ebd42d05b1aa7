function done = vdp_use_program (folder)
% VDP_USE_PROGRAM  Put one copy of the program on the path, and only that.
%
%   done = vdp_use_program (folder)
%
%   folder   the .m files of the program, its name in UTF-8 bytes

  persistent current;
  folder = char (folder);
  if (~isempty (current))
    rmpath (current);
  end
  addpath (folder);
  current = folder;
  clear ('-f', 'vdp_*');    % files may have changed since they were parsed
  mlock ();
  done = true;
end
