#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/pci/pci_function.h"
#include "device/storage/ata_disk.h"
#include "device/storage/atapi_cdrom.h"
#include "device/storage/ide_channel.h"

namespace mynah {

// The IDE function of a PIIX3 (8086:7010): two channels at the ports of a PC/AT with interrupts
// 14 and 15, and a bus master in BAR 4 [PIIX3 2.3, 2.6].
//
// The channels answer while the function decodes ports and IDETIM enables them. Unlike the part,
// IDETIM enables them from reset on, for firmware that knows no PIIX3.
class Piix3Ide final : private MediumJobOwner {
  public:
    static constexpr unsigned kChannels = 2;

    // The lines must outlive the controller and be low.
    Piix3Ide(const PciAttachment& attachment, InterruptLine& irq14, InterruptLine& irq15);
    // Waits until nothing is with the back ends.
    ~Piix3Ide() override;
    Piix3Ide(const Piix3Ide&) = delete;
    Piix3Ide& operator=(const Piix3Ide&) = delete;

    PciFunction& function() { return function_; }

    // Before the machine runs; each place once. Device 0 or 1 of the channel. The options' word
    // on serial ATA is ignored. The backend must outlive the controller.
    void attach_disk(unsigned channel, unsigned device, BlockBackend& backend,
                     AtaDiskOptions options);
    void attach_cdrom(unsigned channel, unsigned device, AtapiCdromOptions options);

    // As AhciController's.
    bool insert(unsigned channel, unsigned device, BlockBackend& medium) EXCLUDES(lock_);
    bool eject(unsigned channel, unsigned device, bool force) EXCLUDES(lock_);
    CdDriveState cd_state(unsigned channel, unsigned device) EXCLUDES(lock_);

    // The board's reset; not from within a completion of a back end. Waits until nothing is with
    // the back ends.
    void reset() EXCLUDES(lock_);

  private:
    class CommandBlock;
    class ControlBlock;
    class BusMaster;
    struct Slot {
        std::unique_ptr<AtaDevice> device;
        CdDrive* drive = nullptr;
    };

    // Runs something on a channel's chip, then does what follows from it.
    template <typename Change>
    uint64_t on_channel(unsigned channel, Change&& change) EXCLUDES(lock_);
    void job_done(MediumJob& job, BlockStatus status) override EXCLUDES(lock_);
    // Says what the lines should be; takes a channel whose work is to be started.
    IdeChannel* next() REQUIRES(lock_);
    // Starts the work, and what becomes ready meanwhile; drives the lines.
    void work(IdeChannel* ready) EXCLUDES(lock_);
    void place_channels() EXCLUDES(lock_);
    Slot* slot(unsigned channel, unsigned device) REQUIRES(lock_);

    IoSpace& ports_;
    PciFunction function_;
    std::array<std::unique_ptr<LineDriver>, kChannels> lines_;
    std::array<std::unique_ptr<CommandBlock>, kChannels> command_blocks_;
    std::array<std::unique_ptr<ControlBlock>, kChannels> control_blocks_;
    std::unique_ptr<BusMaster> bus_master_;
    Mutex placing_;  // orders changes of where the channels answer
    Mutex lock_;
    std::condition_variable_any over_;  // something came back from a back end
    std::array<std::array<Slot, 2>, kChannels> slots_ GUARDED_BY(lock_);
    std::array<std::unique_ptr<IdeChannel>, kChannels> channels_ GUARDED_BY(lock_);
    unsigned inside_ GUARDED_BY(lock_) = 0;  // threads of back ends in job_done()
};

}  // namespace mynah
