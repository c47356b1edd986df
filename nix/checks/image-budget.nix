# The image is no heavier than nix/image-budget.json says; the log shows what it weighs.
{
  runCommand,
  image,
  interpreter,
}:
runCommand "image-keeps-its-budget" { } ''
  ${interpreter.interpreter} ${../image_size.py} ${image} ${../image-budget.json} | tee $out
''
