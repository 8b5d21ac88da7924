#include "machine/boards/pc_board.h"

// What is plugged into a PC board; each family has a file of its own.
namespace mynah {

// USB comes before storage, some of which is plugged into it.
Result<void> PcBoard::add_devices() {
    TRY(add_display());
    TRY(add_usb());
    TRY(add_storage());
    TRY(add_network());
    TRY(add_virtio_devices());
    TRY(add_watchdog());
    return add_iommu();
}

}  // namespace mynah
