# The test machines. They set the stage; what is asserted is in tests/system/acceptance.
{
  callPackage,
  lib,
  testers,
  images,
  module,
  python,
}:
let
  stage = callPackage ./stage.nix { inherit python; };

  # Slower without KVM, and the same: where nixpkgs lets a test say so.
  anywhere =
    { options, ... }:
    {
      config = lib.optionalAttrs (options ? requiredFeatures) { requiredFeatures.kvm = false; };
    };

  run =
    test:
    testers.runNixOSTest {
      imports = [
        anywhere
        test
      ];
      globalTimeout = 3600;
    };
in
{
  vm-module = run (import ./module.nix { inherit module stage; });
  vm-image = run (import ./image.nix { inherit lib images stage; });
  vm-cluster = run (import ./cluster.nix { inherit module stage; });
  vm-faults = run (import ./faults.nix { inherit module stage; });
}
