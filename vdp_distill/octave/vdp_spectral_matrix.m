function M = vdp_spectral_matrix (display, channels)
% VDP_SPECTRAL_MATRIX  Sensitivity of the receptors to a display's channels.
%
%   M = vdp_spectral_matrix (display, channels)
%
%   display    '' (ccfl-lcd for three channels, D65 for one), 'crt',
%              'ccfl-lcd', 'led-lcd' or 'D65'
%   M          channels x 4: rows R, G, B or the one channel; columns L, M, S,
%              rod; per cd/m2
%
% Source: paper, section 3.2, equation 3: the integral of the emission times
% the sensitivity (cones: Smith and Pokorny 1975; rods: CIE 1951), with the
% spectra of release 2.2.0. One channel on a named display is the sum of its
% three rows.

  if (isempty (display))
    if (channels == 1)
      display = 'D65';
    else
      display = 'ccfl-lcd';
    end
  end
  M = display_matrix (display);
  if (channels == 1)
    M = sum (M, 1);
  end
end

function M = display_matrix (display)
  switch (display)
    case 'crt'
      M = [0.19352143856780377 0.045053209085706196 0.00016653637014154318 0.047073666175541741
           0.41422401076383991 0.25627519596218484  0.00088377060782488155 0.53845476753339838
           0.050716636286267429 0.045238019719997337 0.0069836400286939927 0.40041394231638844];
    case 'ccfl-lcd'
      M = [0.19899612033792871 0.041005860407588933 6.1506308848643251e-05 0.014377368621119191
           0.40476260703812544 0.25492330644134564  0.00069591745133302661 0.48092084108413191
           0.054390619255321161 0.050012248959300676 0.0070375678953706862 0.45427589566935994];
    case 'led-lcd'
      M = [0.1787174708325443 0.04729528934232731 0.00026744637869722664 0.068868273216871098
           0.44171841764736336 0.26495293150301868  0.00097224149034442348 0.58443920930196402
           0.037298983813337794 0.034067516210767063 0.0062149545925374514 0.33097358677530136];
    case 'D65'
      M = [0.60184715224469898 0.31670829557916946 0.0076648121695664373 0.90467065459950324];
    otherwise
      error ('vdp:display', 'unknown rgb_display "%s"', display);
  end
end
