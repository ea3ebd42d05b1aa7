function light = vdp_display_to_light (image, encoding)
% VDP_DISPLAY_TO_LIGHT  From pixels to light, cd/m2 in every channel.
%
%   light = vdp_display_to_light (image, encoding)
%
%   image      H x W x C: code values 0..1 for the two display encodings,
%              cd/m2 for 'luminance', 'rgb-bt.709' and 'generic', CIE XYZ with
%              Y in cd/m2 for 'XYZ'
%   light      H x W x C, cd/m2
%
% Release 2.2.0: both displays have a peak of 100 and a black of 1 cd/m2. The
% curve of sRGB is that of IEC 61966-2-1.

  switch (encoding)
    case {'luminance', 'rgb-bt.709', 'generic'}
      light = image;
    case 'luma-display'
      light = 99 * image .^ 2.2 + 1;
    case 'sRGB-display'
      light = 99 * srgb_to_linear (image) + 1;
    case 'XYZ'
      light = xyz_to_rgb (image);
    otherwise
      error ('vdp:encoding', 'unknown encoding "%s"', encoding);
  end
end

function linear = srgb_to_linear (V)
  linear = ((V + 0.055) / 1.055) .^ 2.4;
  toe = V <= 0.04045;
  linear(toe) = V(toe) / 12.92;
end

function rgb = xyz_to_rgb (xyz)
% To linear RGB with the BT.709 primaries and a white of D65.
  M = [ 3.240708 -1.537259 -0.498570
       -0.969257  1.875995  0.041555
        0.055636 -0.203996  1.057069];
  [h, w, c] = size (xyz);
  rgb = reshape (reshape (xyz, h * w, c) * M', h, w, c);
end
