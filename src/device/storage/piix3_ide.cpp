#include "device/storage/piix3_ide.h"

#include <utility>

#include "base/check.h"

namespace mynah {

using namespace ide;

namespace {

constexpr uint16_t kIntel = 0x8086, kPiix3Ide = 0x7010;
constexpr uint32_t kClassIde = 0x010180;  // with bus master, at the ports of the PC/AT
constexpr uint64_t kBusMasterBar = 16;    // bytes
constexpr uint16_t kCommandPortsEnabled = 1;

}  // namespace

// The work that follows is looked for under the same lock: a driver moves data word by word.
template <typename Change>
uint64_t Piix3Ide::on_channel(unsigned channel, Change&& change) {
    uint64_t value;
    IdeChannel* ready;
    {
        MutexLock hold(lock_);
        value = change(*channels_[channel]);
        ready = next();
    }
    work(ready);
    return value;
}

class Piix3Ide::CommandBlock final : public IoHandler {
  public:
    CommandBlock(Piix3Ide& ide, unsigned channel) : ide_(ide), channel_(channel) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        return ide_.on_channel(channel_, [=](IdeChannel& chip) -> uint64_t {
            if (offset == kData) return chip.read_data(size);
            uint64_t value = 0;
            for (unsigned i = 0; i < size; ++i) {
                value |= uint64_t{chip.read(static_cast<unsigned>(offset) + i)} << (8 * i);
            }
            return value;
        });
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        ide_.on_channel(channel_, [=](IdeChannel& chip) -> uint64_t {
            if (offset == kData) {
                chip.write_data(size, static_cast<uint32_t>(value));
                return 0;
            }
            for (unsigned i = 0; i < size; ++i) {
                chip.write(static_cast<unsigned>(offset) + i,
                           static_cast<uint8_t>(value >> (8 * i)));
            }
            return 0;
        });
    }

  private:
    Piix3Ide& ide_;
    const unsigned channel_;
};

class Piix3Ide::ControlBlock final : public IoHandler {
  public:
    ControlBlock(Piix3Ide& ide, unsigned channel) : ide_(ide), channel_(channel) {}
    uint64_t read(uint64_t, unsigned) override {
        return ide_.on_channel(
            channel_, [](IdeChannel& chip) -> uint64_t { return chip.alternate_status(); });
    }
    void write(uint64_t, unsigned, uint64_t value) override {
        ide_.on_channel(channel_, [=](IdeChannel& chip) -> uint64_t {
            chip.write_control(static_cast<uint8_t>(value));
            return 0;
        });
    }

  private:
    Piix3Ide& ide_;
    const unsigned channel_;
};

class Piix3Ide::BusMaster final : public IoHandler {
  public:
    explicit BusMaster(Piix3Ide& ide) : ide_(ide) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        const auto channel = static_cast<unsigned>(offset / kBmChannelSize);
        const auto first = static_cast<unsigned>(offset % kBmChannelSize);
        return ide_.on_channel(channel, [=](IdeChannel& chip) {
            uint64_t value = 0;
            for (unsigned i = 0; i < size; ++i) {
                value |= uint64_t{chip.read_bus_master(first + i)} << (8 * i);
            }
            return value;
        });
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        const auto channel = static_cast<unsigned>(offset / kBmChannelSize);
        const auto first = static_cast<unsigned>(offset % kBmChannelSize);
        ide_.on_channel(channel, [=](IdeChannel& chip) -> uint64_t {
            for (unsigned i = 0; i < size; ++i) {
                chip.write_bus_master(first + i, static_cast<uint8_t>(value >> (8 * i)));
            }
            return 0;
        });
    }

  private:
    Piix3Ide& ide_;
};

Piix3Ide::Piix3Ide(const PciAttachment& attachment, InterruptLine& irq14, InterruptLine& irq15)
    : ports_(attachment.ports),
      function_(
          attachment,
          {.vendor = kIntel, .device = kPiix3Ide, .class_code = kClassIde, .interrupt_pin = 0}),
      lines_{std::make_unique<LineDriver>(irq14), std::make_unique<LineDriver>(irq15)},
      bus_master_(std::make_unique<BusMaster>(*this)) {
    MediumJobOwner& owner = *this;
    for (unsigned i = 0; i < kChannels; ++i) {
        command_blocks_[i] = std::make_unique<CommandBlock>(*this, i);
        control_blocks_[i] = std::make_unique<ControlBlock>(*this, i);
        channels_[i] = std::make_unique<IdeChannel>(function_.dma(), owner);
        function_.set_config(kTiming + 2 * i, 2, kTimingDecode, 0xffff);
    }
    function_.set_config(kSlaveTiming, 1, 0, 0xff);
    function_.add_bar(4, PciFunction::Bar::kIo, kBusMasterBar, *bus_master_);
    function_.on_config_write([this](unsigned, unsigned) { place_channels(); });
}

Piix3Ide::~Piix3Ide() {
    for (unsigned i = 0; i < kChannels; ++i) {
        ports_.withdraw(*command_blocks_[i]);
        ports_.withdraw(*control_blocks_[i]);
    }
    MutexLock hold(lock_);
    for (auto& channel : channels_) channel->reset();
    const auto drained = [this]() NO_THREAD_SAFETY_ANALYSIS {
        return channels_[0]->drained() && channels_[1]->drained() && inside_ == 0;
    };
    while (!drained()) over_.wait(lock_);
}

void Piix3Ide::attach_disk(unsigned channel, unsigned device, BlockBackend& backend,
                           AtaDiskOptions options) {
    MutexLock hold(lock_);
    Slot* place = slot(channel, device);
    CHECK(place != nullptr && place->device == nullptr);
    options.serial_ata = false;
    place->device = std::make_unique<AtaDisk>(backend, std::move(options));
    channels_[channel]->attach(device, *place->device);
}

void Piix3Ide::attach_cdrom(unsigned channel, unsigned device, AtapiCdromOptions options) {
    MutexLock hold(lock_);
    Slot* place = slot(channel, device);
    CHECK(place != nullptr && place->device == nullptr);
    options.serial_ata = false;
    auto cdrom = std::make_unique<AtapiCdrom>(std::move(options));
    place->drive = &cdrom->drive();
    place->device = std::move(cdrom);
    channels_[channel]->attach(device, *place->device);
}

Piix3Ide::Slot* Piix3Ide::slot(unsigned channel, unsigned device) {
    return channel < kChannels && device < 2 ? &slots_[channel][device] : nullptr;
}

bool Piix3Ide::insert(unsigned channel, unsigned device, BlockBackend& medium) {
    MutexLock hold(lock_);
    Slot* place = slot(channel, device);
    if (place == nullptr || place->drive == nullptr) return false;
    place->drive->insert(medium);
    return true;
}

CdDriveState Piix3Ide::cd_state(unsigned channel, unsigned device) {
    MutexLock hold(lock_);
    const Slot* place = slot(channel, device);
    if (place == nullptr || place->drive == nullptr) return {true, false};
    return place->drive->state();
}

bool Piix3Ide::eject(unsigned channel, unsigned device, bool force) {
    MutexLock hold(lock_);
    Slot* place = slot(channel, device);
    if (place == nullptr || place->drive == nullptr) return false;
    BlockBackend* medium = place->drive->medium();
    if (!place->drive->eject(force)) return false;
    while (medium != nullptr && channels_[channel]->uses(*medium)) over_.wait(lock_);
    return true;
}

void Piix3Ide::reset() {
    IdeChannel* ready;
    {
        MutexLock hold(lock_);
        for (auto& channel : channels_) {
            channel->reset();
            while (!channel->drained()) over_.wait(lock_);
        }
        ready = next();
    }
    work(ready);
    function_.reset();
    place_channels();
}

// Puts the channels where the guest wants them: at their ports, or nowhere.
void Piix3Ide::place_channels() {
    MutexLock hold(placing_);
    const bool decodes = (function_.command() & kCommandPortsEnabled) != 0;
    for (unsigned i = 0; i < kChannels; ++i) {
        const bool enabled = (function_.config_read(kTiming + 2 * i, 2) & kTimingDecode) != 0;
        if (decodes && enabled) {
            ports_.place(kLegacyPorts[i].command_block, kCommandPorts, *command_blocks_[i]);
            ports_.place(kLegacyPorts[i].control_block, kControlPorts, *control_blocks_[i]);
        } else {
            ports_.withdraw(*command_blocks_[i]);
            ports_.withdraw(*control_blocks_[i]);
        }
    }
}

IdeChannel* Piix3Ide::next() {
    for (unsigned i = 0; i < kChannels; ++i) lines_[i]->want(channels_[i]->interrupt());
    for (auto& channel : channels_) {
        if (channel->take_ready()) return channel.get();
    }
    return nullptr;
}

void Piix3Ide::work(IdeChannel* ready) {
    while (ready != nullptr) {
        const auto status = ready->start(ready->work(), ready->slices());
        MutexLock hold(lock_);
        if (status) {
            ready->finished(*status);
            over_.notify_all();
        }
        ready = next();
    }
    for (auto& line : lines_) line->flush();
}

void Piix3Ide::job_done(MediumJob& job, BlockStatus status) {
    IdeChannel* ready;
    {
        MutexLock hold(lock_);
        ++inside_;
        static_cast<IdeChannel&>(job).finished(status);
        over_.notify_all();
        ready = next();
    }
    work(ready);
    MutexLock hold(lock_);
    if (--inside_ == 0) over_.notify_all();
}

}  // namespace mynah
