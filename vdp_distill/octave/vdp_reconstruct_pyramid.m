function image = vdp_reconstruct_pyramid (bands)
% VDP_RECONSTRUCT_PYRAMID  Image of a steerable pyramid.
%
%   image = vdp_reconstruct_pyramid (bands)
%
%   bands   cell, see vdp_build_pyramid
%   image   H x W, in the unit of the bands
%
% The synthesis filters are those of the analysis, turned by half a turn:
% conv2 turns its filter, so here they go in as they are.

  filters = vdp_sp3_filters ();
  x = bands{end};
  for level = numel (bands) - 1:-1:2
    oriented = bands{level};
    spread = zeros (size (oriented, 1), size (oriented, 2));
    spread(1:2:end, 1:2:end) = x;
    x = convolve (spread, filters.lo);
    for o = 1:4
      x = x + convolve (oriented(:,:,o), filters.band{o});
    end
  end
  image = convolve (x, filters.lo0) + convolve (bands{1}, filters.hi0);
end

function y = convolve (x, taps)
  y = conv2 (vdp_reflect_pad (x, (size (taps, 1) - 1) / 2), taps, 'valid');
end
