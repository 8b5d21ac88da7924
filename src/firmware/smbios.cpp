#include "firmware/smbios.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "base/bits.h"

namespace mynah {
namespace {

enum Type : uint8_t {  // [SMBIOS 7]
    kBios = 0,
    kSystem = 1,
    kChassis = 3,
    kProcessor = 4,
    kMemoryArray = 16,
    kMemoryModule = 17,
    kMemoryArrayRange = 19,
    kBootStatus = 32,
    kEnd = 127,
};
// Handles: the type times 100h and a number.
constexpr uint16_t handle(Type type, unsigned number = 0) {
    return static_cast<uint16_t>(type << 8 | number);
}

constexpr const char* kMaker = "Mynah";
constexpr uint64_t kMib = uint64_t{1} << 20, kGib = uint64_t{1} << 30;
constexpr uint64_t kModule = 16 * kGib;

// One structure: a formatted part, and its strings, which the part names by number.
class Structure {
  public:
    Structure(Type type, uint16_t own_handle) {
        put(uint8_t{type});
        put(uint8_t{0});  // the length
        put(own_handle);
    }
    template <typename T>
    Structure& put(T value) {
        const auto bytes = std::as_bytes(std::span(&value, 1));
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    Structure& text(std::string_view value) {
        if (value.empty()) return put(uint8_t{0});
        strings_.emplace_back(value.substr(0, kLongestString));
        return put(static_cast<uint8_t>(strings_.size()));
    }
    void append_to(std::vector<std::byte>& out) {
        bytes_[1] = static_cast<std::byte>(bytes_.size());
        for (const std::string& string : strings_) {
            for (const char c : string) put(c);
            put('\0');
        }
        if (strings_.empty()) put('\0');
        put('\0');
        out.insert(out.end(), bytes_.begin(), bytes_.end());
    }

  private:
    static constexpr size_t kLongestString = 64;
    std::vector<std::byte> bytes_;
    std::vector<std::string> strings_;
};

void add_bios(std::vector<std::byte>& out, const SmbiosBoard& board) {
    constexpr uint64_t kNoCharacteristics = 1u << 3;
    constexpr uint8_t kVirtualMachine = 1u << 4, kAcpi = 1u << 0, kNone = 0xff;
    Structure(kBios, handle(kBios))
        .text(kMaker)
        .text(board.firmware_version)
        .put(uint16_t{0xe800})
        .text("01/01/2026")
        .put(uint8_t{0})  // 64 KiB
        .put(kNoCharacteristics)
        .put(kAcpi)
        .put(kVirtualMachine)
        .put(uint8_t{0})
        .put(uint8_t{1})
        .put(kNone)
        .put(kNone)
        .append_to(out);
}

void add_system(std::vector<std::byte>& out, const SmbiosBoard& board) {
    constexpr uint8_t kPowerSwitch = 6;
    std::array<uint8_t, 16> uuid = board.uuid;
    // Three fields are little-endian numbers [SMBIOS 7.2.1].
    std::reverse(uuid.begin(), uuid.begin() + 4);
    std::reverse(uuid.begin() + 4, uuid.begin() + 6);
    std::reverse(uuid.begin() + 6, uuid.begin() + 8);
    Structure(kSystem, handle(kSystem))
        .text(kMaker)
        .text("Standard PC (Q35 + ICH9)")
        .text("1")
        .text(board.name)
        .put(uuid)
        .put(kPowerSwitch)
        .text("")
        .text("Virtual Machine")
        .append_to(out);
    constexpr uint8_t kOther = 1, kSafe = 3, kNoSecurity = 3;
    Structure(kChassis, handle(kChassis))
        .text(kMaker)
        .put(kOther)
        .text("1")
        .text("")
        .text("")
        .put(kSafe)
        .put(kSafe)
        .put(kSafe)
        .put(kNoSecurity)
        .put(uint32_t{0})
        .put(uint8_t{0})
        .put(uint8_t{0})
        .put(uint8_t{0})
        .put(uint8_t{0})
        .text("")
        .append_to(out);
}

void add_processor(std::vector<std::byte>& out, const SmbiosBoard& board, unsigned socket) {
    constexpr uint8_t kCentral = 3, kFamilyOther = 1, kUpgradeOther = 1, kEnabled = 0x41;
    constexpr uint16_t kNoCache = 0xffff, k64Bit = 1u << 2;
    const unsigned cores = board.cores, threads = board.cores * board.threads;
    const auto narrow = [](unsigned count) { return static_cast<uint8_t>(std::min(count, 255u)); };
    Structure(kProcessor, handle(kProcessor, socket))
        .text(fmt::format("CPU {}", socket))
        .put(kCentral)
        .put(kFamilyOther)
        .text(kMaker)
        .put(board.processor_signature)
        .put(board.processor_features)
        .text(board.processor)
        .put(uint8_t{0})   // voltage
        .put(uint16_t{0})  // external clock
        .put(board.megahertz)
        .put(board.megahertz)
        .put(kEnabled)
        .put(kUpgradeOther)
        .put(kNoCache)
        .put(kNoCache)
        .put(kNoCache)
        .text("")
        .text("")
        .text("")
        .put(narrow(cores))
        .put(narrow(cores))
        .put(narrow(threads))
        .put(k64Bit)
        .put(uint16_t{kFamilyOther})
        .put(static_cast<uint16_t>(cores))
        .put(static_cast<uint16_t>(cores))
        .put(static_cast<uint16_t>(threads))
        .append_to(out);
}

void add_module(std::vector<std::byte>& out, unsigned number, uint64_t bytes) {
    constexpr uint16_t kNoError = 0xfffe, kUnknownWidth = 0xffff, kExtendedSize = 0x7fff,
                       kOtherDetail = 1u << 1;
    constexpr uint8_t kDimm = 9, kRam = 7, kNoSet = 0;
    const uint64_t mib = bytes / kMib;
    Structure(kMemoryModule, handle(kMemoryModule, number))
        .put(handle(kMemoryArray))
        .put(kNoError)
        .put(kUnknownWidth)
        .put(kUnknownWidth)
        .put(static_cast<uint16_t>(std::min<uint64_t>(mib, kExtendedSize)))
        .put(kDimm)
        .put(kNoSet)
        .text(fmt::format("DIMM {}", number))
        .text("")
        .put(kRam)
        .put(kOtherDetail)
        .put(uint16_t{0})
        .text(kMaker)
        .text("")
        .text("")
        .text("")
        .put(uint8_t{0})
        .put(static_cast<uint32_t>(mib))
        .put(uint16_t{0})
        .put(uint16_t{0})
        .put(uint16_t{0})
        .put(uint16_t{0})
        .append_to(out);
}

void add_memory(std::vector<std::byte>& out, const SmbiosBoard& board) {
    constexpr uint8_t kMainboard = 3, kSystemMemory = 3, kMultiBitEcc = 6;
    constexpr uint32_t kExtendedCapacity = 0x80000000;
    constexpr uint16_t kNoError = 0xfffe;
    uint64_t total = 0;
    for (const GuestMemory::Range& range : board.memory) total += range.size;
    const uint64_t modules = std::max<uint64_t>(1, (total + kModule - 1) / kModule);
    Structure(kMemoryArray, handle(kMemoryArray))
        .put(kMainboard)
        .put(kSystemMemory)
        .put(kMultiBitEcc)
        .put(kExtendedCapacity)
        .put(kNoError)
        .put(static_cast<uint16_t>(modules))
        .put(total)
        .append_to(out);
    for (uint64_t i = 0; i < modules; ++i)
        add_module(out, static_cast<unsigned>(i), std::min(kModule, total - i * kModule));
    for (size_t i = 0; i < board.memory.size(); ++i) {
        const GuestMemory::Range& range = board.memory[i];
        constexpr uint32_t kSeeExtended = 0xffffffff;
        Structure(kMemoryArrayRange, handle(kMemoryArrayRange, static_cast<unsigned>(i)))
            .put(kSeeExtended)
            .put(kSeeExtended)
            .put(handle(kMemoryArray))
            .put(uint8_t{1})
            .put(range.start.value)
            .put(range.end().value - 1)
            .append_to(out);
    }
}

}  // namespace

std::vector<std::byte> make_smbios_tables(const SmbiosBoard& board) {
    std::vector<std::byte> out;
    add_bios(out, board);
    add_system(out, board);
    for (unsigned socket = 0; socket < board.sockets; ++socket) add_processor(out, board, socket);
    add_memory(out, board);
    Structure(kBootStatus, handle(kBootStatus))
        .put(std::array<uint8_t, 6>{})
        .put(uint8_t{0})  // no errors
        .append_to(out);
    Structure(kEnd, handle(kEnd)).append_to(out);
    return out;
}

std::vector<std::byte> make_smbios_entry(uint64_t address, size_t bytes) {
    struct Entry {
        std::array<char, 5> anchor{'_', 'S', 'M', '3', '_'};
        uint8_t checksum = 0, length = sizeof(Entry);
        uint8_t major = 3, minor = 3, revision = 0, entry_revision = 1, reserved = 0;
        uint32_t limit = 0;
        uint64_t tables = 0;
    };
    static_assert(sizeof(Entry) == 24);
    Entry entry;
    entry.limit = static_cast<uint32_t>(bytes);
    entry.tables = address;
    unsigned sum = 0;
    for (const std::byte byte : std::as_bytes(std::span(&entry, 1)))
        sum += std::to_integer<unsigned>(byte);
    entry.checksum = static_cast<uint8_t>(0u - sum);
    const auto out = std::as_bytes(std::span(&entry, 1));
    return {out.begin(), out.end()};
}

}  // namespace mynah
