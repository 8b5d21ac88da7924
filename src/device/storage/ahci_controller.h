#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/pci/pci_function.h"
#include "device/storage/ahci.h"
#include "device/storage/ata_disk.h"
#include "device/storage/atapi_cdrom.h"
#include "device/storage/pci_interrupt.h"

namespace mynah {

// The SATA controller of an ICH9 in AHCI mode as a PCI function (8086:2922) [ICH10 14, 15]: the
// registers in BAR 5 and, by index and data, in BAR 4; interrupts by pin or MSI.
//
// Work goes to the back end on the thread that rings the bell, with no lock held.
class AhciController final : private MediumJobOwner {
  public:
    AhciController(const PciAttachment& attachment, AhciOptions options);
    // Waits until nothing is with the back ends.
    ~AhciController() override;
    AhciController(const AhciController&) = delete;
    AhciController& operator=(const AhciController&) = delete;

    PciFunction& function() { return function_; }

    // Before the machine runs; each port once. The backend must outlive the controller.
    void attach_disk(unsigned port, BlockBackend& backend, AtaDiskOptions options);
    void attach_cdrom(unsigned port, AtapiCdromOptions options);

    // The medium of the CD drive at a port, while the machine runs; false where there is none. The
    // backend must stay until it was taken out.
    bool insert(unsigned port, BlockBackend& medium) EXCLUDES(lock_);
    // False: the guest has locked the tray, see CdDrive::eject(). Returns when nothing uses the
    // medium any more.
    bool eject(unsigned port, bool force) EXCLUDES(lock_);

    // Of the CD drive at a port; open and not locked where there is none.
    CdDriveState cd_state(unsigned port) EXCLUDES(lock_);

    // The board's reset; not from within a completion of a back end. Waits until nothing is with
    // the back ends.
    void reset() EXCLUDES(lock_);

  private:
    class Registers;
    class IndexData;

    uint32_t read(uint32_t offset) EXCLUDES(lock_);
    void write(uint32_t offset, uint32_t value) EXCLUDES(lock_);
    void job_done(MediumJob& job, BlockStatus status) override EXCLUDES(lock_);
    // Says what the interrupt should be; takes a command whose work is to be started.
    AhciTask* next() REQUIRES(lock_);
    // Starts the work, and what becomes ready meanwhile; then interrupts.
    void work(AhciTask* ready) EXCLUDES(lock_);

    PciFunction function_;
    PciInterrupt intx_;
    std::unique_ptr<Registers> registers_;
    std::unique_ptr<IndexData> index_data_;
    Mutex lock_;
    std::condition_variable_any over_;  // something came back from a back end
    std::array<std::unique_ptr<AtaDevice>, Ahci::kPortCount> devices_ GUARDED_BY(lock_);
    std::array<CdDrive*, Ahci::kPortCount> drives_ GUARDED_BY(lock_){};
    Ahci chip_ GUARDED_BY(lock_);
    std::atomic<unsigned> messages_{0};      // due
    unsigned inside_ GUARDED_BY(lock_) = 0;  // threads of back ends in job_done()
};

}  // namespace mynah
