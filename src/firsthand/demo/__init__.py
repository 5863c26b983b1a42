"""`firsthand demo`: a shop's hour through the gateway, with the emulators in the vendors' place."""
