"""Gravitational lensing by one plane of deflectors: formulas below all kinds of tables.

Angles on the sky are in arcsec, x to the right and y upwards; directions are in radians, counter-clockwise from +x.
ψ is the potential of the plane in units of arcsec², scaled for the sources' distance, so that

- the deflection is α = ∇ψ, and a source at β has images where β = θ − α(θ);
- the convergence is κ = ½ (ψ_xx + ψ_yy), the shear γ₁ = ½ (ψ_xx − ψ_yy), γ₂ = ψ_xy;
- the signed magnification is μ = 1 / ((1 − κ)² − γ₁² − γ₂²).

Deflectors of one plane add up. ``deflector.DEFLECTOR_ROW`` is the row of each, and each family has a module of its own,
in axes of its own. ``plane`` prepares rows and sums families at a point, ``rays`` in float32 along lines, ``maps`` for
arrays outside kernels. ``lens_equation`` finds the images of point sources in ``cells`` of the image plane, which
``reach`` lays out; ``critical_curves`` has Einstein radii and caustics, closed curves of ``cubics``. ``cosmology``
has distances and delays, ``haloes`` halos by their mass.
"""
