"""Galaxies behind point spread functions, on frames and in stamps.

``model`` has their specifications, each of which turns its labels into pieces, and names the engines that draw these.
``sky_rows`` gathers the pieces of stars and galaxies, and ``stamps`` draws them in squares whose sizes ``stamp_sizes``
has. Components are drawn together by ``fourier``, from transforms of ``sersic``, without the copies that an FFT adds
(``fft_copies``). The engines are ``spirals``, on the light of ``arms`` and the grids of ``oversampled``, and
``truncated``. ``image_psf`` is for PSFs that are images.

A new galaxy is a specification in ``model``, and an engine where no other can draw it.
"""
