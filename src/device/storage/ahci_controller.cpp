#include "device/storage/ahci_controller.h"

#include <utility>

#include "base/check.h"

namespace mynah {

namespace {

constexpr uint16_t kIntel = 0x8086, kIch9Sata = 0x2922;
constexpr uint32_t kClassAhci = 0x010601;
constexpr uint8_t kRevision = 2;

constexpr uint64_t kRegisterBar = 2048;  // bytes, BAR 5 [ICH10 15.1.16]
constexpr uint64_t kIndexDataBar = 32;   // bytes, BAR 4
constexpr uint64_t kIndex = 0x10, kData = 0x14;

// Configuration space of the SATA function [ICH10 15.1.29, 15.1.30]: the mode, and which ports
// are enabled.
constexpr unsigned kMap = 0x90, kPortControl = 0x92;
constexpr uint32_t kMapAhci = 0x40;
constexpr uint32_t kPortEnables = (1u << Ahci::kPortCount) - 1;

// SATA capability: index and data in BAR 4 at offset 10h [AHCI 2.4].
constexpr uint8_t kSataCapability = 0x12;

}  // namespace

// Accesses of 64 bits are two of 32; smaller writes are none [AHCI 3].
class AhciController::Registers final : public IoHandler {
  public:
    explicit Registers(AhciController& controller) : controller_(controller) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        const auto at = static_cast<uint32_t>(offset & ~uint64_t{3});
        const uint64_t low = controller_.read(at) >> (8 * (offset & 3));
        if (size <= 4) return low;
        return low | uint64_t{controller_.read(at + 4)} << 32;
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        if (size < 4 || offset % 4 != 0) return;
        controller_.write(static_cast<uint32_t>(offset), static_cast<uint32_t>(value));
        if (size == 8) {
            controller_.write(static_cast<uint32_t>(offset + 4),
                              static_cast<uint32_t>(value >> 32));
        }
    }

  private:
    AhciController& controller_;
};

// The same registers through two ports [AHCI 2.4].
class AhciController::IndexData final : public IoHandler {
  public:
    explicit IndexData(AhciController& controller) : controller_(controller) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        if (size != 4) return 0;
        if (offset == kIndex) return index_.load(std::memory_order_relaxed);
        return offset == kData ? controller_.read(index_.load(std::memory_order_relaxed)) : 0;
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        if (size != 4) return;
        if (offset == kIndex) {
            index_.store(static_cast<uint32_t>(value) & (kRegisterBar - 4),
                         std::memory_order_relaxed);
        } else if (offset == kData) {
            controller_.write(index_.load(std::memory_order_relaxed), static_cast<uint32_t>(value));
        }
    }
    void reset() { index_.store(0, std::memory_order_relaxed); }

  private:
    AhciController& controller_;
    std::atomic<uint32_t> index_{0};
};

AhciController::AhciController(const PciAttachment& attachment, AhciOptions options)
    : function_(attachment, {kIntel, kIch9Sata, kClassAhci, kRevision}),
      intx_(function_),
      registers_(std::make_unique<Registers>(*this)),
      index_data_(std::make_unique<IndexData>(*this)),
      chip_(function_.dma(), *this, options) {
    function_.add_bar(4, PciFunction::Bar::kIo, kIndexDataBar, *index_data_);
    function_.add_bar(5, PciFunction::Bar::kMemory32, kRegisterBar, *registers_);
    function_.add_msi(1);
    constexpr uint8_t kRevision10 = 0x10, kInBar4 = 8, kIndexAt = kIndex / 4 << 4;
    function_.add_capability(kSataCapability, {kRevision10, 0, kIndexAt | kInBar4, 0, 0, 0},
                             {0, 0, 0, 0, 0, 0});
    function_.set_config(kMap, 1, kMapAhci);
    function_.set_config(kPortControl, 2, kPortEnables, kPortEnables);
}

AhciController::~AhciController() {
    MutexLock hold(lock_);
    chip_.begin_reset();
    while (!chip_.drained() || inside_ > 0) over_.wait(lock_);
}

void AhciController::attach_disk(unsigned port, BlockBackend& backend, AtaDiskOptions options) {
    MutexLock hold(lock_);
    CHECK(port < Ahci::kPortCount && devices_[port] == nullptr);
    devices_[port] = std::make_unique<AtaDisk>(backend, std::move(options));
    chip_.port(port).attach(*devices_[port]);
}

void AhciController::attach_cdrom(unsigned port, AtapiCdromOptions options) {
    MutexLock hold(lock_);
    CHECK(port < Ahci::kPortCount && devices_[port] == nullptr);
    auto cdrom = std::make_unique<AtapiCdrom>(std::move(options));
    drives_[port] = &cdrom->drive();
    devices_[port] = std::move(cdrom);
    chip_.port(port).attach(*devices_[port]);
}

bool AhciController::insert(unsigned port, BlockBackend& medium) {
    MutexLock hold(lock_);
    if (port >= Ahci::kPortCount || drives_[port] == nullptr) return false;
    drives_[port]->insert(medium);
    return true;
}

CdDriveState AhciController::cd_state(unsigned port) {
    MutexLock hold(lock_);
    if (port >= Ahci::kPortCount || drives_[port] == nullptr) return {true, false};
    return drives_[port]->state();
}

bool AhciController::eject(unsigned port, bool force) {
    MutexLock hold(lock_);
    if (port >= Ahci::kPortCount || drives_[port] == nullptr) return false;
    BlockBackend* medium = drives_[port]->medium();
    if (!drives_[port]->eject(force)) return false;
    while (medium != nullptr && chip_.port(port).uses(*medium)) over_.wait(lock_);
    return true;
}

void AhciController::reset() {
    index_data_->reset();
    AhciTask* ready;
    {
        MutexLock hold(lock_);
        chip_.begin_reset();
        while (!chip_.drained()) over_.wait(lock_);
        chip_.reset();
        ready = next();
    }
    work(ready);
    function_.reset();
}

uint32_t AhciController::read(uint32_t offset) {
    MutexLock hold(lock_);
    return chip_.read(offset);
}

void AhciController::write(uint32_t offset, uint32_t value) {
    AhciTask* ready;
    {
        MutexLock hold(lock_);
        chip_.write(offset, value);
        ready = next();
    }
    work(ready);
}

AhciTask* AhciController::next() {
    intx_.want(chip_.interrupt());
    if (chip_.take_message()) ++messages_;
    return chip_.take_ready();
}

void AhciController::work(AhciTask* ready) {
    while (ready != nullptr) {
        const auto status = ready->start(ready->command.data.work, ready->slices.slices());
        MutexLock hold(lock_);
        if (status) {
            chip_.finished(*ready, *status);
            over_.notify_all();
        }
        ready = next();
    }
    intx_.flush();
    if (messages_.exchange(0) != 0) function_.send_msi(0);
}

void AhciController::job_done(MediumJob& job, BlockStatus status) {
    AhciTask* ready;
    {
        MutexLock hold(lock_);
        ++inside_;
        chip_.finished(static_cast<AhciTask&>(job), status);
        over_.notify_all();
        ready = next();
    }
    work(ready);
    MutexLock hold(lock_);
    if (--inside_ == 0) over_.notify_all();
}

}  // namespace mynah
