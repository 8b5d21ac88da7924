#pragma once

#include "firmware/acpi_board.h"
#include "firmware/aml_builder.h"

namespace mynah {

// The definition block of a board [ACPI 5.2.11.1]: its devices that nothing else lets a guest find,
// and the sleep type that turns it off. AML, without the table header.
aml::Bytes make_dsdt(const AcpiBoard& board);

}  // namespace mynah
