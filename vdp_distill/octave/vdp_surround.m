function surround = vdp_surround (surround_l, light_R)
% VDP_SURROUND  Light around the image, one value a channel, cd/m2.
%
%   surround = vdp_surround (surround_l, light_R)
%
%   surround_l   cd/m2: a scalar, one value a channel, or -1 for the geometric
%                mean of every channel of the reference
%   light_R      H x W x C, light of the reference, cd/m2
%
% Release 2.2.0, option 'surround_l'.

  channels = size (light_R, 3);
  if (isequal (surround_l, -1))
    pixels = reshape (light_R, [], channels);
    surround = exp (mean (log (pixels), 1));
  elseif (isscalar (surround_l))
    surround = repmat (surround_l, 1, channels);
  elseif (numel (surround_l) == channels)
    surround = surround_l(:)';
  else
    error ('vdp:surround', 'surround_l must have 1 or %d values, got %d', ...
           channels, numel (surround_l));
  end
end
