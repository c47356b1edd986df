# The settings of each environment as they are shipped. Never `.secrets`, whatever lies in the folder.
{ lib }:
lib.fileset.toSource {
  root = ../configs;
  fileset = lib.fileset.fileFilter (file: lib.hasPrefix ".env." file.name) ../configs;
}
