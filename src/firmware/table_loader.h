#pragma once

#include <cstddef>
#include <vector>

#include "firmware/acpi_tables.h"

namespace mynah {

// ACPI tables in the form in which firmware takes them from its configuration device [fw_cfg
// table-loader]: files of tables, and a script that says how to allocate them, which pointers to
// adjust and where to put checksums.
struct TableLoader {
    static constexpr const char* kTablesFile = "etc/acpi/tables";
    static constexpr const char* kRsdpFile = "etc/acpi/rsdp";

    std::vector<std::byte> tables, rsdp, script;
};

// `tables` were made for base 0.
TableLoader make_table_loader(const AcpiTables& tables);

}  // namespace mynah
