#pragma once

#include "firmware/acpi_board.h"
#include "firmware/aml_builder.h"

namespace mynah {

// What stands in \_SB for a board with PCI: the host bridge with its windows, its interrupt routing
// for both interrupt controllers, the ICH9's LPC bridge, link devices of the PIRQs, resources of
// the mainboard. `isa_devices` goes below the LPC bridge.
aml::Bytes make_pci_devices(const AcpiBoard& board, const aml::Bytes& isa_devices);
// What stands in the root scope for it.
aml::Bytes make_pci_root_objects();

}  // namespace mynah
