#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "firmware/acpi_board.h"
#include "memory/guest_memory.h"

namespace mynah {

// The ACPI tables of a board as one block of bytes to be put at `base` [ACPI 5.2]: FACS, DSDT,
// FADT, MADT, what the board has beyond, RSDT, XSDT. Not hardware-reduced: the boards have fixed
// hardware.
struct AcpiTables {
    struct Field {
        uint64_t offset, size;
    };
    std::vector<std::byte> bytes;
    // Where addresses of other tables stand, and where tables with a checksum (byte 9) are: for
    // whoever puts the block somewhere else.
    std::vector<Field> pointers, checksummed;
    uint64_t rsdt, xsdt;  // their addresses
};
AcpiTables make_acpi_tables(const AcpiBoard& board, GuestPhys base);
std::vector<std::byte> make_acpi_rsdp(uint64_t rsdt, uint64_t xsdt);

// Where firmware of a PC has them, in the BIOS area below 1 MiB.
GuestPhys acpi_rsdp_address();

// Puts them there. Error: too many processors or devices for the area.
Result<void> write_acpi_tables(GuestMemory& memory, const AcpiBoard& board);

}  // namespace mynah
