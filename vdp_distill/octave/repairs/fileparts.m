function [folder, name, extension, version] = fileparts (file)
% FILEPARTS  Parts of a file name, with the fourth output of old MATLAB.
%
% The version has been empty since MATLAB 7; Octave never had it.

  separators = find (file == '/' | (ispc () & file == '\'));
  slash = max ([0, separators]);
  dot = max ([0, find(file == '.')]);
  if (dot <= slash)
    dot = numel (file) + 1;
  end
  folder = file(1:slash - 1);
  if (slash > 0 && (isempty (folder) || (ispc () && folder(end) == ':')))
    folder = file(1:slash);
  end
  name = file(slash + 1:dot - 1);
  extension = file(dot:end);
  version = '';
end
