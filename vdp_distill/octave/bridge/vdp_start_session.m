function release = vdp_start_session (home)
% VDP_START_SESSION  Make an Octave session quiet and independent of its user.
%
%   release = vdp_start_session (home)
%
%   home      folder to work in: empty, so that no stray .m file comes first; in
%             UTF-8 bytes
%   release   version of Octave

  cd (char (home));
  more off;
  crash_dumps_octave_core (false);
  sighup_dumps_octave_core (false);
  sigterm_dumps_octave_core (false);
  % Both the repairs and the original's tools cover functions of Octave.
  warning ('off', 'Octave:shadowed-function');
  release = version ();
end
