#include "device/chipset/mch82g33.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {
namespace {

using Kind = MemoryOverlay::Kind;

constexpr uint64_t kMegabyte = 0x100000, kShadowStart = 0xc0000;
constexpr PciIdentity kIdentity{.vendor = mch::kVendor,
                                .device = mch::kDevice,
                                .class_code = mch::kClass,
                                .revision = mch::kRevision,
                                .subsystem_vendor = 0x1af4,
                                .subsystem = 0x1100,  // SeaBIOS knows us by it
                                .interrupt_pin = 0};

struct Area {
    uint64_t start, size;
};
constexpr Area pam_area(unsigned segment) {
    constexpr uint64_t kHighSegment = 0xf0000, kLowBytes = 0x4000;
    if (segment == 0) return {kHighSegment, kMegabyte - kHighSegment};
    return {kShadowStart + (segment - 1) * kLowBytes, kLowBytes};
}
constexpr unsigned pam_segment_at(uint64_t address) {
    for (unsigned segment = 0; segment < mch::pam::kSegments; ++segment) {
        const Area area = pam_area(segment);
        if (address - area.start < area.size) return segment;
    }
    return 0;
}

}  // namespace

Mch82G33::Mch82G33(const PciAttachment& attachment, PciBus& bus, const Config& config)
    : memory_(attachment.memory),
      memory_space_(attachment.memory_space),
      rom_(config.rom),
      low_memory_end_(config.low_memory_end),
      ram_(memory_.host(GuestPhys(0), kMegabyte)),
      function_(attachment, kIdentity),
      ecam_(bus),
      shadow_writes_(*this) {
    CHECK(ram_ != nullptr);
    define_registers();
    function_.on_config_write([this](unsigned offset, unsigned size) { written(offset, size); });
    // Below everything of display adapters: no RAM where they have memory.
    hole_slot_ = memory_.take_overlay();
    memory_.set_overlay(
        hole_slot_,
        {.start = GuestPhys(mch::smram::kStart), .size = mch::smram::kSize, .kind = Kind::kHole});
}

Mch82G33::~Mch82G33() {
    if (ecam_base_ != 0) memory_space_.withdraw(ecam_);
}

void Mch82G33::define_registers() {
    constexpr uint64_t kMib = uint64_t{1} << 20, kTomUnit = 64 * kMib;
    PciFunction& f = function_;
    f.set_config(mch::kPciExpressBar, 4, 0,
                 static_cast<uint32_t>(mch::pciexbar::kBase | mch::pciexbar::kLength |
                                       mch::pciexbar::kEnable));
    f.set_config(mch::kPciExpressBar + 4, 4, 0, static_cast<uint32_t>(mch::pciexbar::kBase >> 32));
    for (unsigned i = 0; i < mch::kPams; ++i) {
        // Of PAM0 only the high nibble is there.
        f.set_config(mch::kPam0 + i, 1, 0, mch::pam::kWritable & (i == 0 ? 0xf0 : 0xff));
    }
    f.set_config(mch::kSmram, 1, mch::smram::kReset, mch::smram::kWritable);
    f.set_config(mch::kExtendedSmram, 1, mch::extended_smram::kReset,
                 mch::extended_smram::kWritable);
    f.set_config_clearable(mch::kExtendedSmram, 1, mch::extended_smram::kError);
    f.set_config(mch::kTopOfMemory, 2, static_cast<uint32_t>(memory_.size() / kTomUnit), 0);
    const GuestPhys top = memory_.ranges().back().end();
    f.set_config(mch::kTopOfUpperMemory, 2, static_cast<uint32_t>(top.value / kMib), 0);
    f.set_config(mch::kTopOfLowMemory, 2, static_cast<uint32_t>(low_memory_end_ / kMib) << 4,
                 mch::kTopOfLowMemoryWritable);
    // Firmware keeps here where it thinks that things are; TSEG is always the end of low memory.
    for (const unsigned base : {mch::kGraphicsBase, mch::kGttBase, mch::kTsegBase})
        f.set_config(base, 4, 0, mch::kBaseWritable);
    f.set_config(mch::kExtendedTsegMib, 2, mch::kExtendedTsegSize, 0);
}

void Mch82G33::finish() {
    for (unsigned& slot : pam_slots_) slot = memory_.take_overlay();
    smram_slot_ = memory_.take_overlay();
    tseg_slot_ = memory_.take_overlay();
    update_.request([this] { apply(); });
}

void Mch82G33::reset() {
    function_.reset();
    update_.request([this] { apply(); });
}

void Mch82G33::written(unsigned offset, unsigned size) {
    if (offset + size <= mch::kPciExpressBar || offset >= mch::kTopOfMemory) return;
    const auto smram = static_cast<uint8_t>(function_.config_read(mch::kSmram, 1));
    if ((smram & mch::smram::kLock) != 0) {
        // From now on, until reset, nobody sees management memory who is not in management mode.
        function_.lock_config(mch::kSmram, 1, mch::smram::kClosed);
        function_.lock_config(mch::kExtendedSmram, 1, 0);
        function_.store_config(mch::kSmram, 1, smram & ~mch::smram::kOpen);
    }
    update_.request([this] { apply(); });
}

void Mch82G33::apply() {
    apply_ecam();
    for (unsigned i = 0; i < mch::pam::kSegments; ++i) apply_pam(i);
    apply_management_memory();
}

void Mch82G33::apply_ecam() {
    const uint64_t bar = function_.config_read(mch::kPciExpressBar, 4) |
                         uint64_t{function_.config_read(mch::kPciExpressBar + 4, 4)} << 32;
    const auto length =
        static_cast<unsigned>((bar & mch::pciexbar::kLength) >> mch::pciexbar::kLengthShift);
    constexpr uint64_t kLongest = 256 * PciEcam::kBytesPerBus;
    const uint64_t size = kLongest >> (length == 3 ? 0 : length);
    uint64_t base = bar & mch::pciexbar::kBase & ~(size - 1);
    if ((bar & mch::pciexbar::kEnable) == 0) base = 0;
    if (base == ecam_base_ && base == 0) return;
    ecam_base_ = base;
    if (base == 0) {
        memory_space_.withdraw(ecam_);
    } else {
        memory_space_.place(base, size, ecam_);
    }
}

uint8_t Mch82G33::pam(unsigned segment) {
    const unsigned nibble = segment + 1;  // PAM0's low one is not there
    const uint32_t value = function_.config_read(mch::kPam0 + nibble / 2, 1);
    return static_cast<uint8_t>(value >> (4 * (nibble % 2)) & 0xf);
}

void Mch82G33::apply_pam(unsigned segment) {
    const Area area = pam_area(segment);
    MemoryOverlay overlay{.start = GuestPhys(area.start), .size = area.size};
    const uint8_t attributes = pam(segment);
    const uint64_t rom_start = kMegabyte - std::min(rom_.size, kMegabyte - 0xe0000);
    if ((attributes & mch::pam::kReadEnable) != 0) {
        // What is not written to RAM goes to nobody.
        const bool writable = (attributes & mch::pam::kWriteEnable) != 0;
        overlay.kind = writable ? Kind::kMemory : Kind::kReadOnly;
        overlay.offset = memory_.file_offset(ram_ + area.start);
    } else if (area.start >= rom_start) {
        overlay.kind = Kind::kReadOnly;
        overlay.offset = rom_.offset + rom_.size - (kMegabyte - area.start);
    } else {
        overlay.kind = Kind::kHole;
    }
    memory_.set_overlay(pam_slots_[segment], overlay);
}

void Mch82G33::ShadowWrites::write(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t address = kShadowStart + offset + i;
        const uint8_t attributes = mch_.pam(pam_segment_at(address));
        if ((attributes & mch::pam::kWriteEnable) == 0) continue;
        std::byte* to = mch_.ram_ + address;
        __atomic_store_n(reinterpret_cast<uint8_t*>(to), static_cast<uint8_t>(value >> (8 * i)),
                         __ATOMIC_RELAXED);
        mch_.memory_.watch().wrote(to, 1);
    }
}

uint64_t Mch82G33::tseg_bytes() {
    constexpr uint64_t kMib = uint64_t{1} << 20;
    const uint32_t value = function_.config_read(mch::kExtendedSmram, 1);
    if ((value & mch::extended_smram::kTsegEnable) == 0) return 0;
    constexpr uint64_t kSizes[] = {kMib, 2 * kMib, 8 * kMib, mch::kExtendedTsegSize * kMib};
    return kSizes[(value & mch::extended_smram::kTsegSize) >> mch::extended_smram::kTsegSizeShift];
}

void Mch82G33::apply_management_memory() {
    const uint32_t smram = function_.config_read(mch::kSmram, 1);
    const bool enabled = (smram & mch::smram::kEnable) != 0;
    MemoryOverlay overlay{.start = GuestPhys(mch::smram::kStart), .size = mch::smram::kSize};
    if (enabled) {
        overlay.kind = Kind::kMemory;
        overlay.offset = memory_.file_offset(ram_ + mch::smram::kStart);
        overlay.normal = (smram & mch::smram::kOpen) != 0;
    }
    memory_.set_overlay(smram_slot_, overlay);

    const uint64_t tseg = enabled ? tseg_bytes() : 0;
    MemoryOverlay hidden;
    if (tseg != 0 && tseg < low_memory_end_) {
        hidden = {.start = GuestPhys(low_memory_end_ - tseg),
                  .size = tseg,
                  .kind = Kind::kHole,
                  .normal = true,
                  .management = false};
    }
    memory_.set_overlay(tseg_slot_, hidden);
}

}  // namespace mynah
