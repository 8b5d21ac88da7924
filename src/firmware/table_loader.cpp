#include "firmware/table_loader.h"

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/bits.h"
#include "spec/acpi/tables.h"

namespace mynah {
namespace {

// One command; 128 bytes, little-endian.
class Command {
  public:
    enum Kind : uint32_t { kAllocate = 1, kAddPointer = 2, kAddChecksum = 3 };
    explicit Command(Kind kind) { put(kind); }

    template <typename T>
    Command& put(T value) {
        store_unaligned(bytes_ + at_, value);
        at_ += sizeof value;
        return *this;
    }
    Command& put_name(std::string_view name) {
        std::memcpy(bytes_ + at_, name.data(), name.size());
        at_ += kNameBytes;
        return *this;
    }
    void append_to(std::vector<std::byte>& script) const {
        script.insert(script.end(), bytes_, bytes_ + sizeof bytes_);
    }

  private:
    static constexpr size_t kBytes = 128, kNameBytes = 56;
    std::byte bytes_[kBytes]{};
    size_t at_ = 0;
};

enum Zone : uint8_t { kAnywhere = 1, kBiosArea = 2 };

void allocate(std::vector<std::byte>& script, std::string_view file, uint32_t alignment,
              Zone zone) {
    Command(Command::kAllocate).put_name(file).put(alignment).put(uint8_t{zone}).append_to(script);
}
void add_pointer(std::vector<std::byte>& script, std::string_view in, std::string_view to,
                 uint64_t offset, uint64_t size) {
    Command(Command::kAddPointer)
        .put_name(in)
        .put_name(to)
        .put(static_cast<uint32_t>(offset))
        .put(static_cast<uint8_t>(size))
        .append_to(script);
}
void add_checksum(std::vector<std::byte>& script, std::string_view file, uint64_t place,
                  uint64_t start, uint64_t length) {
    Command(Command::kAddChecksum)
        .put_name(file)
        .put(static_cast<uint32_t>(place))
        .put(static_cast<uint32_t>(start))
        .put(static_cast<uint32_t>(length))
        .append_to(script);
}

}  // namespace

TableLoader make_table_loader(const AcpiTables& tables) {
    constexpr uint32_t kTableAlignment = 64, kRsdpAlignment = 16;
    TableLoader out;
    out.tables = tables.bytes;
    out.rsdp = make_acpi_rsdp(tables.rsdt, tables.xsdt);
    std::vector<std::byte>& script = out.script;
    allocate(script, TableLoader::kTablesFile, kTableAlignment, kAnywhere);
    allocate(script, TableLoader::kRsdpFile, kRsdpAlignment, kBiosArea);
    for (const AcpiTables::Field& pointer : tables.pointers)
        add_pointer(script, TableLoader::kTablesFile, TableLoader::kTablesFile, pointer.offset,
                    pointer.size);
    // Checksums are made anew, from zero.
    constexpr uint64_t kChecksum = offsetof(acpi::TableHeader, checksum);
    for (const AcpiTables::Field& table : tables.checksummed) {
        out.tables[table.offset + kChecksum] = std::byte{0};
        add_checksum(script, TableLoader::kTablesFile, table.offset + kChecksum, table.offset,
                     table.size);
    }
    using acpi::Rsdp;
    add_pointer(script, TableLoader::kRsdpFile, TableLoader::kTablesFile,
                offsetof(Rsdp, rsdt_address), sizeof(uint32_t));
    add_pointer(script, TableLoader::kRsdpFile, TableLoader::kTablesFile,
                offsetof(Rsdp, xsdt_address), sizeof(uint64_t));
    out.rsdp[offsetof(Rsdp, checksum)] = std::byte{0};
    out.rsdp[offsetof(Rsdp, extended_checksum)] = std::byte{0};
    add_checksum(script, TableLoader::kRsdpFile, offsetof(Rsdp, checksum), 0,
                 offsetof(Rsdp, length));
    add_checksum(script, TableLoader::kRsdpFile, offsetof(Rsdp, extended_checksum), 0,
                 sizeof(Rsdp));
    return out;
}

}  // namespace mynah
