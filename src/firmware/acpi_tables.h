#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "firmware/acpi_board.h"
#include "memory/guest_memory.h"

namespace mynah {

// The ACPI tables of a board as one block of bytes to be put at `base`, the RSDP at its start
// [ACPI 5.2]: RSDP, XSDT, FADT, FACS, MADT, DSDT. Not hardware-reduced: the boards have fixed
// hardware.
std::vector<std::byte> make_acpi_tables(const AcpiBoard& board, GuestPhys base);

// Where firmware of a PC has them, in the BIOS area below 1 MiB.
GuestPhys acpi_rsdp_address();

// Puts them there. Error: too many processors or devices for the area.
Result<void> write_acpi_tables(GuestMemory& memory, const AcpiBoard& board);

}  // namespace mynah
