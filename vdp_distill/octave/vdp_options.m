function options = vdp_options (options, channels)
% VDP_OPTIONS  Fill in the defaults and find the spectral matrix.
%
%   options = vdp_options (options, channels)
%
%   encoding            'luminance', 'luma-display', 'sRGB-display',
%                       'rgb-bt.709', 'XYZ' or 'generic' (light, cd/m2)
%   pixels_per_degree   of the visual field
%   rgb_display         '' (default of the channel count), 'crt', 'ccfl-lcd',
%                       'led-lcd' or 'D65'
%   surround_l          cd/m2: scalar, one a channel, or -1 for the geometric
%                       mean of the reference (default 1e-5)
%   peak_sensitivity    lg of the peak sensitivity (default 2.4)
%   do_masking, do_mtf  logical (default true)
%   spectral_matrix     C x 4, replaces the display's (default [])
%   keep_stages         logical (default false)
%
% Defaults of release 2.2.0.

  defaults = struct ('rgb_display', '', 'surround_l', 1e-5, ...
                     'peak_sensitivity', 2.4, 'do_masking', true, ...
                     'do_mtf', true, 'spectral_matrix', [], ...
                     'keep_stages', false);
  names = fieldnames (defaults);
  for i = 1:numel (names)
    if (~isfield (options, names{i}))
      options.(names{i}) = defaults.(names{i});
    end
  end
  if (isempty (options.spectral_matrix))
    options.spectral_matrix = vdp_spectral_matrix (options.rgb_display, channels);
  end
  if (~isequal (size (options.spectral_matrix), [channels, 4]))
    error ('vdp:spectral', ...
           'the spectral matrix must be %d x 4 for %d channels, got %d x %d', ...
           channels, channels, size (options.spectral_matrix));
  end
end
